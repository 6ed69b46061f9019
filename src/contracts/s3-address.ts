/** A bucket and what stands before every key of ours in it. */
export interface S3Address {
  bucket: string;
  /** Without slash at either end. */
  prefix: string;
}

export const isS3Address = (text: string): boolean => /^s3:/i.test(text);

/** AWS user guide, "Bucket naming rules": 3–63 of a–z, 0–9, "-" and ".", a letter or digit at both ends. */
const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const reservedBucket = /\.\.|^\d+\.\d+\.\d+\.\d+$|^xn--|^sthree-|^amzn-s3-demo-|-s3alias$|--ol-s3$|\.mrap$|--x-s3$/;
/** "Safe characters" of the object key guidelines, without those that some tool of a shell or a URL reads as syntax. */
const segmentPattern = /^[A-Za-z0-9_][A-Za-z0-9._=-]*$/;
/** Keys end at 1,024 bytes; what we append to a prefix is shorter than 512. */
const maxPrefixLength = 512;

/**
 * Reads `s3://bucket/prefix`. Nothing is decoded, normalised or guessed: what two readers could take for two places is
 * refused, and so is whatever carries credentials.
 * @throws Error whose message says what to change, without the secret in it
 */
export function parseS3Address(text: string): S3Address {
  // Told apart first, so that no message repeats a password or a signature.
  if (text.includes('@'))
    throw new Error('expected no credentials in the address; leave them to the AWS environment, profile or role');
  if (/[?#;]|x-amz-/i.test(text))
    throw new Error('expected "s3://bucket/prefix" without "?", "#" or ";": no presigned address and no version id');
  const shown = JSON.stringify(text.slice(0, 100));
  if (!text.startsWith('s3://')) throw new Error(`expected "s3://bucket/prefix", got ${shown}`);
  const [bucket = '', ...segments] = text.slice('s3://'.length).replace(/\/$/, '').split('/');
  if (/[:[\]]/.test(bucket))
    throw new Error(
      `expected a bucket's name without port or address, got ${shown}; AWS_ENDPOINT_URL_S3 names a server`,
    );
  if (!bucketPattern.test(bucket) || reservedBucket.test(bucket))
    throw new Error(`expected a bucket's name of 3 to 63 lower-case letters, digits, "-" and ".", got ${shown}`);
  if (segments.length === 0)
    throw new Error(`expected a prefix after the bucket, such as "s3://${bucket}/goto3", so that policies can name it`);
  const bad = segments.find((segment) => !segmentPattern.test(segment));
  if (bad !== undefined)
    throw new Error(`expected names of letters, digits, "_", "-", "=" and "." joined by "/", got ${shown}`);
  const prefix = segments.join('/');
  if (prefix.length > maxPrefixLength) throw new Error(`expected a prefix of at most ${maxPrefixLength} characters`);
  return { bucket, prefix };
}
