import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { approverOf } from '../../../src/registry/sagemaker/approver.ts';
import { groupName, lineageName, packageToken } from '../../../src/registry/sagemaker/names.ts';
import { digestOf } from '../../../src/store/canonical-json.ts';
import { bucket, prefix, published, putCandidate, type RegistryFixture, setUpRegistry } from './fixture.ts';

describe('the mirror in SageMaker’s model registry, on the double', () => {
  let fixture: RegistryFixture;
  before(async () => {
    fixture = await setUpRegistry({ identityOf: () => 'arn:aws:sts::123456789012:assumed-role/ml-oncall/ann' });
  });
  after(async () => {
    await fixture?.stop();
  });
  const packagesOf = (name: string): string[] =>
    fixture.double.packages.arns.filter((arn) => arn.includes(`/${name}/`));
  const made = (arn: string) => fixture.double.packages.describe({ ModelPackageName: arn }) as Record<string, never>;

  it('a candidate becomes one package that waits for approval, with our digests, its metrics and its files', async () => {
    const registrable = await putCandidate(fixture.store, 'plain');
    const arn = await published(fixture.open(), registrable);
    assert.equal(await published(fixture.open(), registrable), arn);
    assert.deepEqual(packagesOf('plain'), [arn]);
    const found = made(arn) as unknown as {
      ModelApprovalStatus: string;
      CustomerMetadataProperties: Record<string, string>;
      ModelMetrics: { ModelQuality: { Statistics: { S3Uri: string; ContentDigest: string } } };
      InferenceSpecification: { Containers: { ModelDataSource: { S3DataSource: { S3Uri: string } } }[] };
    };
    assert.equal(found.ModelApprovalStatus, 'PendingManualApproval');
    assert.equal(found.CustomerMetadataProperties['goto3:model'], registrable.candidate);
    assert.equal(found.CustomerMetadataProperties['goto3:verdict'], registrable.verdict);

    const objectAt = async (uri: string): Promise<Buffer> =>
      await readFile(join(fixture.gateway.folder, uri.slice('s3://'.length)));
    const { S3Uri, ContentDigest } = found.ModelMetrics.ModelQuality.Statistics;
    const statistics = await objectAt(S3Uri);
    assert.equal(digestOf(statistics), ContentDigest);
    assert.deepEqual(JSON.parse(statistics.toString()), {
      binary_classification_metrics: {
        accuracy: { value: 0.9, standard_deviation: (0.95 - 0.85) / (2 * 1.959964) },
        false_positive_rate: { value: 0.02, standard_deviation: 'NaN' },
      },
    });
    const data = found.InferenceSpecification.Containers[0]!.ModelDataSource.S3DataSource.S3Uri;
    assert.equal(data, `s3://${bucket}/${prefix}/models/${registrable.candidate.slice('sha256:'.length)}/`);
    assert.equal((await objectAt(`${data}model.onnx`)).toString(), 'graph of plain');
  });

  it('eight at once, a lost reply, another process after a kill: one package', async () => {
    const racing = await putCandidate(fixture.store, 'racing');
    const arns = await Promise.all(Array.from({ length: 8 }, () => published(fixture.open(), racing)));
    assert.deepEqual([...new Set(arns)], packagesOf('racing'));
    const lost = await putCandidate(fixture.store, 'lost-reply');
    for (const operation of ['CreateModelPackageGroup', 'CreateModelPackage']) fixture.double.loseReplyOf(operation);
    await published(fixture.open(), lost);
    assert.equal(fixture.double.repliesToLose, 0);
    assert.equal(packagesOf('lost-reply').length, 1);

    const registrable = await putCandidate(fixture.store, 'killed');
    const program = fileURLToPath(new URL('publish-and-die.ts', import.meta.url));
    const input = JSON.stringify({ target: fixture.target, storeUrl: fixture.store.url, registrable });
    const signal = await new Promise((resolve) => {
      execFile(process.execPath, ['--import', 'tsx', program, input], (error) => resolve(error?.signal));
    });
    assert.equal(signal, 'SIGKILL');
    assert.equal(packagesOf('killed').length, 1);
    // However long ago it was: SageMaker remembers its token no more.
    fixture.double.packages.forgetTokens();
    assert.deepEqual([await published(fixture.open(), registrable)], packagesOf('killed'));
  });

  it('one among more than a page of packages is found; one that was deleted behind our back is made again', async () => {
    const registrable = await putCandidate(fixture.store, 'many');
    const arn = await published(fixture.open(), registrable);
    const caller = { arn: 'arn:aws:iam::123456789012:user/bob' };
    for (let n = 0; n < 105; n += 1) fixture.double.packages.create({ ModelPackageGroupName: 'many' }, caller);
    fixture.double.packages.forgetTokens();
    assert.equal(await published(fixture.open(), registrable), arn);
    fixture.double.packages.delete({ ModelPackageName: arn });
    assert.equal(await fixture.open().approval(arn), undefined);

    const deleted = await putCandidate(fixture.store, 'deleted');
    fixture.double.packages.delete({ ModelPackageName: await published(fixture.open(), deleted) });
    assert.match(await published(fixture.open(), deleted), /model-package\/deleted\/2$/);
  });

  it('what is not ours, or failed, is said with what to change, and nothing is made', async () => {
    const caller = { arn: 'arn:aws:iam::123456789012:user/bob' };
    const foreign = await putCandidate(fixture.store, 'foreign');
    fixture.double.packages.createGroup({ ModelPackageGroupName: 'foreign' }, caller);
    await assert.rejects(fixture.open().publish(foreign), /group foreign has no tag goto3:store.*registry\.prefix/);
    const Tags = [{ Key: 'goto3:store', Value: 's3://other/store' }];
    fixture.double.packages.createGroup({ ModelPackageGroupName: 'mine-foreign', Tags }, caller);
    const registry = { ...fixture.target.registry!, prefix: 'mine-' };
    await assert.rejects(
      fixture.open({ target: { ...fixture.target, registry } }).publish(foreign),
      /holds the models of s3:\/\/other\/store/,
    );
    assert.deepEqual([...packagesOf('foreign'), ...packagesOf('mine-foreign')], []);

    fixture.double.packages.failNext.push('no such image');
    const failed = await putCandidate(fixture.store, 'failed');
    await assert.rejects(published(fixture.open(), failed), /could not make it: no such image/);
    const { registry: none, ...withoutRegistry } = fixture.target;
    assert.ok(none);
    assert.throws(() => fixture.open({ target: withoutRegistry }), /has no "registry"/);
    const onDisk = { ...fixture.store, url: 'file:///srv/store' };
    assert.throws(() => fixture.open({ store: onDisk }), /reads models from S3, and the store is file:/);
  });

  it('an approval is written once, and is seen with the one who gave it', async () => {
    const registry = fixture.open();
    const arn = await published(registry, await putCandidate(fixture.store, 'approved'));
    const word = { by: 'ann', reason: 'looks\ngood', version: 3 };
    await registry.setApproval(arn, 'Approved', word);
    const seen = await registry.approval(arn);
    assert.deepEqual([seen?.status, seen?.description], ['Approved', 'ann: looks good']);
    assert.equal(approverOf(seen?.who, { by: ['ml-oncall'], notBy: null }), 'ml-oncall');
    const updates = () => fixture.double.calls.filter(({ operation }) => operation === 'UpdateModelPackage').length;
    const before = updates();
    await registry.setApproval(arn, 'Approved', word);
    assert.equal(updates(), before);
    fixture.double.packages.delete({ ModelPackageName: arn });
    await assert.rejects(registry.setApproval(arn, 'Rejected', word), /was deleted in SageMaker/);
  });

  it('lineage: dataset, training, model, endpoint, each once, also when every reply is lost once', async () => {
    const registry = fixture.open();
    const registrable = await putCandidate(fixture.store, 'traced', 'sagemaker:double');
    const arn = await published(registry, registrable);
    const { lineage } = fixture.double;
    const [entities, edges] = [lineage.entities.length, lineage.edges.length];
    for (const operation of ['CreateArtifact', 'CreateAction', 'CreateContext', 'AddAssociation'])
      fixture.double.loseReplyOf(operation);
    await registry.trace(registrable, arn, null);
    assert.deepEqual([lineage.entities.length - entities, lineage.edges.length - edges], [3, 2]);
    const traced = await registry.trace(registrable, arn, 'mail');
    assert.equal(fixture.double.repliesToLose, 0);
    assert.deepEqual(await fixture.open().trace(registrable, arn, 'mail'), traced);
    assert.deepEqual([lineage.entities.length - entities, lineage.edges.length - edges], [4, 3]);
    const of = (one: string | undefined) => lineage.entities.find((entity) => entity.arn === one);
    assert.match(of(traced.training)!.source.SourceUri, /:training-job\/traced-1-train-1-[0-9a-f]{24}$/);
    assert.equal(of(traced.model)!.source.SourceUri, arn);
    assert.deepEqual(
      lineage.edges.slice(edges).map(({ source, destination, type }) => [source, type, destination]),
      [
        [traced.dataset, 'ContributedTo', traced.training],
        [traced.training, 'Produced', traced.model],
        [traced.model, 'ContributedTo', traced.endpoint],
      ],
    );
  });

  it('a throttle storm is waited out', async () => {
    const slow = await setUpRegistry({ callsPerSecond: 4 });
    try {
      const registrables = await Promise.all(['one', 'two', 'three'].map((name) => putCandidate(slow.store, name)));
      await Promise.all(registrables.map((registrable) => published(slow.open(), registrable)));
      assert.ok(slow.double.calls.some(({ answer }) => JSON.stringify(answer).includes('ThrottlingException')));
      assert.equal(slow.double.packages.arns.length, 3);
    } finally {
      await slow.stop();
    }
  });
});

describe('names in SageMaker’s registry', () => {
  it('are those of ours where AWS has such, else readable and apart', () => {
    assert.equal(groupName('spam-filter'), 'spam-filter');
    assert.equal(groupName('spam-filter', 'prod-'), 'prod-spam-filter');
    const pattern = /^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$/;
    const names = ['a_b', 'a.b', 'a-.b', `a${'b'.repeat(62)}`].map((name) => groupName(name, 'team-'));
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.match(name, pattern);
    assert.match(packageToken('arn', `sha256:${'a'.repeat(64)}`), /^[a-zA-Z0-9-]{1,36}$/);
    assert.match(lineageName('s3://a/b', 'training', 'spam.filter/1/train/1'), /^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,119}$/);
  });

  it('an approver is who IAM says it is; the name of a session, which anybody picks, is nobody', () => {
    const approvers = { by: ['ann', 'ml-oncall'], notBy: 'joe' };
    const by = (Arn: string, UserProfileName?: string) =>
      approverOf({ IamIdentity: { Arn }, ...(UserProfileName !== undefined && { UserProfileName }) }, approvers);
    assert.equal(by('arn:aws:iam::123456789012:user/team/ann'), 'ann');
    assert.equal(by('arn:aws:sts::123456789012:assumed-role/ml-oncall/zoe'), 'ml-oncall');
    const session = 'arn:aws:sts::123456789012:assumed-role/intern/ann';
    assert.equal(by(session), session);
    assert.equal(by(session, 'ann'), 'ann');
    assert.equal(by('arn:aws:sts::123456789012:assumed-role/ml-oncall/joe', 'joe'), 'joe');
    assert.equal(approverOf(undefined, approvers), 'sagemaker');
  });
});
