/* A European call, as every textbook prices it. */
#define SPOT 100.0
#define STRIKE 105.0
#define RATE 0.05
#define VOLATILITY 0.2
#define YEARS 1.0
