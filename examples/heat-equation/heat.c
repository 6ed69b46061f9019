/* The heat equation u_t = u_xx + u_yy on the unit square, zero at its edge, from sin(pi x) sin(pi y): explicit in time,
 * second order in space (FTCS), rows shared out over MPI ranks where MPI is there. Compared with the exact
 * exp(-2 pi^2 t) sin(pi x) sin(pi y). Goes on from its checkpoint.
 * usage: heat <points> <time> <checkpoints> <output> */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef USE_MPI
#include <mpi.h>
#endif

static volatile sig_atomic_t asked_to_leave = 0;
static void leave(int signal) { (void)signal, asked_to_leave = 1; }

static int rank = 0, ranks = 1;
static long points, first, rows; /* interior points a side; this rank's rows */
static double *u, *v;            /* rows + 2 rows of points + 2: a frame of neighbours around */

static void exchange(void) {
#ifdef USE_MPI
  long width = points + 2;
  int up = rank > 0 ? rank - 1 : MPI_PROC_NULL, down = rank < ranks - 1 ? rank + 1 : MPI_PROC_NULL;
  MPI_Sendrecv(u + width, (int)width, MPI_DOUBLE, up, 0, u + (rows + 1) * width, (int)width, MPI_DOUBLE, down, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Sendrecv(u + rows * width, (int)width, MPI_DOUBLE, down, 1, u, (int)width, MPI_DOUBLE, up, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
#endif
}

static int any(int mine) {
#ifdef USE_MPI
  int all;
  MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  return all;
#else
  return mine;
#endif
}

static double largest(double mine) {
#ifdef USE_MPI
  double all;
  MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return all;
#else
  return mine;
#endif
}

static void file_of(char *path, size_t size, const char *folder, long slot) {
  snprintf(path, size, "%s/heat-%ld-of-%d-%d.bin", folder, slot, ranks, rank);
}

/* Two slots in turn, each written whole: all ranks have the older one when some had no time for the newer. */
static int save(const char *folder, long step, long every) {
  char path[4096], aside[4200];
  file_of(path, sizeof path, folder, step / every % 2);
  snprintf(aside, sizeof aside, "%s.new", path);
  FILE *file = fopen(aside, "wb");
  size_t count = (size_t)((rows + 2) * (points + 2));
  if (!file || fwrite(&step, sizeof step, 1, file) != 1 || fwrite(u, sizeof *u, count, file) != count || fflush(file) || fsync(fileno(file)) || fclose(file) || rename(aside, path))
    return perror(aside), 1;
  return 0;
}

/* The newest step that every rank has; 0 when there is none. */
static long restore(const char *folder) {
  long best = 0;
  size_t count = (size_t)((rows + 2) * (points + 2));
  for (long slot = 0; slot < 2; slot++) {
    char path[4096];
    long step = 0;
    file_of(path, sizeof path, folder, slot);
    FILE *file = fopen(path, "rb");
    int good = file && fread(&step, sizeof step, 1, file) == 1 && fread(v, sizeof *v, count, file) == count;
    if (file) fclose(file);
    long oldest = good ? step : 0;
    if (largest((double)oldest) != -largest(-(double)oldest) || oldest <= best) continue;
    best = oldest;
    memcpy(u, v, count * sizeof *u);
  }
  return best;
}

int main(int argc, char **argv) {
#ifdef USE_MPI
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
#endif
  if (argc != 5) return fprintf(stderr, "usage: heat <points> <time> <checkpoints> <output>\n"), 2;
  points = strtol(argv[1], NULL, 10);
  double end = strtod(argv[2], NULL), pi = acos(-1.0), h = 1.0 / (double)(points + 1);
  if (points < 3 || points < ranks || end <= 0) return fprintf(stderr, "expected 3 points or more, and a time above zero\n"), 2;
  struct sigaction action = {.sa_handler = leave};
  sigaction(SIGTERM, &action, NULL);

  /* Stable up to h^2 / 4. */
  long steps = (long)ceil(end / (0.2 * h * h)), every = steps / 20 > 0 ? steps / 20 : 1;
  double dt = end / (double)steps, c = dt / (h * h);
  first = points * rank / ranks;
  rows = points * (rank + 1) / ranks - first;
  long width = points + 2;
  u = calloc((size_t)((rows + 2) * width), sizeof *u);
  v = calloc((size_t)((rows + 2) * width), sizeof *v);
  if (!u || !v) return fprintf(stderr, "Cannot allocate memory\n"), 1;
  for (long i = 1; i <= rows; i++)
    for (long j = 1; j <= points; j++) u[i * width + j] = sin(pi * h * (double)(first + i)) * sin(pi * h * (double)j);
  long step = restore(argv[3]), began = step;
  if (rank == 0) printf("begins at step %ld of %ld, on %d ranks\n", step, steps, ranks);

  for (; step < steps; step++) {
    if (step % every == 0) {
      if (step > began && save(argv[3], step, every)) return 1;
      if (rank == 0) printf("{\"progress\": %.3f, \"step\": %ld}\n", (double)step / (double)steps, step), fflush(stdout);
      if (any(asked_to_leave)) return 143;
    }
    exchange();
    for (long i = 1; i <= rows; i++)
      for (long j = 1; j <= points; j++) {
        double *at = u + i * width + j;
        v[i * width + j] = *at + c * (at[1] + at[-1] + at[width] + at[-width] - 4 * *at);
      }
    double *swap = u;
    u = v, v = swap;
  }

  double error = 0, decay = exp(-2 * pi * pi * end);
  for (long i = 1; i <= rows; i++)
    for (long j = 1; j <= points; j++)
      error = fmax(error, fabs(u[i * width + j] - decay * sin(pi * h * (double)(first + i)) * sin(pi * h * (double)j)));
  error = largest(error);
  /* FTCS errs by O(h^2 + dt); the constant for this solution is below pi^4 end decay. */
  double bound = pi * pi * pi * pi * end * decay * h * h + 1e-12;
  int bad = error > bound;
  if (rank == 0) {
    printf("{\"progress\": 1, \"largestError\": %.3e, \"bound\": %.3e}\n", error, bound);
    char path[4096];
    snprintf(path, sizeof path, "%s/heat.json", argv[4]);
    FILE *file = fopen(path, "w");
    if (!file) return perror(path), 1;
    fprintf(file, "{\"points\": %ld, \"steps\": %ld, \"beganAt\": %ld, \"ranks\": %d, \"largestError\": %.6e, \"bound\": %.6e}\n", points, steps, began, ranks, error, bound);
    if (fclose(file)) return perror(path), 1;
    if (bad) fprintf(stderr, "the error %.3e is above its bound %.3e\n", error, bound);
  }
#ifdef USE_MPI
  MPI_Finalize();
#endif
  return bad;
}
