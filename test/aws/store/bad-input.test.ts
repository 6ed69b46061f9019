import assert from 'node:assert/strict';
import { InvalidInput, StoreUnavailable } from '../../../src/store/errors.ts';
import { openStore } from '../../../src/store/open.ts';
import { awsVariables, Versitygw, withVariables } from '../../support/versitygw/server.ts';

describe('S3 store, what people get wrong', () => {
  const secret = 'planted-secret-7d1f';
  for (const [bad, says] of [
    ['s3:///k', /bucket's name/],
    ['s3://b', /bucket's name/],
    ['s3://bucket', /prefix after the bucket/],
    ['s3://bucket/', /names of letters|prefix after/],
    ['s3://B_A/k', /bucket's name/],
    ['s3://bu..cket/k', /bucket's name/],
    ['s3://192.168.0.1/k', /bucket's name/],
    ['s3://bucket/../c', /names of letters/],
    ['s3://bucket/a//b', /names of letters/],
    ['s3://bucket/./b', /names of letters/],
    ['s3://bucket/%2e%2e/b', /names of letters/],
    ['s3://bucket/k#x', /without "\?", "#"/],
    ['s3://bucket/k?versionId=3', /no version id/],
    ['s3://bucket/k;x', /";"/],
    ['s3://bucket:9000/k', /AWS_ENDPOINT_URL_S3/],
    ['s3://[::1]/k', /AWS_ENDPOINT_URL_S3/],
    ['s3://bucket/a․b', /names of letters/],
    [`s3://bucket/${'k'.repeat(1_025)}`, /at most 512/],
    ['s3://bucket/k ', /names of letters/],
    ['s3://bucket/k\r\n', /names of letters/],
    ['s3://bucket/k\u0000', /names of letters/],
    ['S3://bucket/k', /expected "s3:/],
    ['s3:bucket/k', /expected "s3:/],
    [`s3://key:${secret}@bucket/k`, /no credentials in the address/],
    [`s3://bucket/k?X-Amz-Signature=${secret}`, /no presigned address/],
    [`https://bucket.s3.amazonaws.com/k?X-Amz-Signature=${secret}`, /s3:\/\/bucket\/prefix/],
  ] as const)
    it(`refuses ${JSON.stringify(bad.slice(0, 40))} before any request`, async () => {
      await assert.rejects(openStore(bad), (error: unknown) => {
        assert.ok(error instanceof InvalidInput, String(error));
        assert.match(error.message, says);
        assert.ok(!error.message.includes(secret), error.message);
        return true;
      });
    });

  it('takes a slash at the end for nothing', async () => {
    const server = await Versitygw.start();
    const restore = withVariables(awsVariables(server.url));
    const store = await openStore('s3://goto3-test/a/store/', { s3: { endpoint: server.url } });
    assert.equal(store.url, 's3://goto3-test/a/store');
    restore();
    await server.stop();
  });

  describe('at the server', () => {
    let server: Versitygw;
    let restore: () => void;
    before(async () => {
      server = await Versitygw.start();
      restore = withVariables({
        ...awsVariables(server.url),
        AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
        AWS_CONFIG_FILE: '/nonexistent',
        AWS_PROFILE: undefined,
        AWS_SESSION_TOKEN: undefined,
      });
    });
    after(async () => {
      restore();
      await server.stop();
    });
    const refused = async (
      says: RegExp,
      {
        url = 's3://goto3-test/store',
        variables = {},
      }: { url?: string; variables?: Record<string, string | undefined> },
    ): Promise<void> => {
      const back = withVariables(variables);
      try {
        await assert.rejects(openStore(url, { s3: { endpoint: server.url } }), (error: unknown) => {
          assert.ok(error instanceof StoreUnavailable, String(error));
          assert.match(error.message, says);
          assert.ok(!`${error.message}${String(error.cause)}`.includes(secret));
          return true;
        });
      } finally {
        back();
      }
    };

    it('names a bucket that is not there', () =>
      refused(/s3:\/\/nobodys\/store\/store\.json: NoSuchBucket; there is no such bucket: create it/, {
        url: 's3://nobodys/store',
      }));

    it('says that nobody knows the access key', () =>
      refused(/(InvalidAccessKeyId|XAdminUserNotFound); .*check AWS_ACCESS_KEY_ID or AWS_PROFILE/, {
        variables: { AWS_ACCESS_KEY_ID: secret },
      }));

    it('says that the secret is wrong', () =>
      refused(/SignatureDoesNotMatch; .*check AWS_SECRET_ACCESS_KEY/, {
        variables: { AWS_SECRET_ACCESS_KEY: secret },
      }));

    it('says that there are no credentials', () =>
      refused(/CredentialsProviderError; no credentials: set AWS_PROFILE/, {
        variables: { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined },
      }));

    it('says that the region is missing', () => refused(/set AWS_REGION/, { variables: { AWS_REGION: undefined } }));

    it('says that the region is another', () =>
      refused(/set AWS_REGION/, { variables: { AWS_REGION: 'eu-central-1' } }));

    it('says that nobody answers there', async () => {
      const closed = { s3: { endpoint: 'http://127.0.0.1:9', bucketOwner: '123456789012' } };
      await assert.rejects(openStore('s3://goto3-test/store', closed), /cannot read s3:.*ECONNREFUSED/);
    });
  });
});
