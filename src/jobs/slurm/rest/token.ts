import { createHmac } from 'node:crypto';

const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/**
 * A token as `scontrol token` makes it (HS256 with the cluster's key; claims iat, exp, sun), made by us: PCS refuses
 * Slurm's own and wants further claims. Newer Slurm reads the user from `id.name`. @param lifeSeconds from `nowMs` on
 */
export function slurmToken(key: Uint8Array, user: string, nowMs: number, lifeSeconds: number): string {
  const iat = Math.floor(nowMs / 1000);
  const signed = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url({ iat, exp: iat + lifeSeconds, sun: user })}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}
