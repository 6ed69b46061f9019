/** One event a line on stderr; stdout carries progress lines only. Never row texts. */
export function log(event: string, fields: Readonly<Record<string, string | number | boolean>>): void {
  console.error(JSON.stringify({ event, ...fields }));
}

/** `{"progress": 0.4, …}` on stdout: what the runner reads as a sign of life and shows to people. */
export function reportProgress(progress: number, metrics: Readonly<Record<string, number>>): void {
  console.log(JSON.stringify({ progress, ...metrics }));
}
