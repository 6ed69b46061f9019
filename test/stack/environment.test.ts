import assert from 'node:assert/strict';
import { readEnvironment } from '../../src/stack/environment.ts';

describe('environment', () => {
  it('has a default for everything', () => {
    const environment = readEnvironment({ HOME: '/nowhere' }, '/project');
    assert.equal(environment.home, '/project/.goto3');
    assert.equal(environment.storeUrl, 'file:///project/.goto3/store');
    assert.match(environment.cacheFolder, /\/\.cache\/goto3$/);
    assert.equal(environment.temporalNamespace, 'default');
    assert.deepEqual(
      [environment.temporalAddress, environment.temporalCli, environment.color, environment.ci],
      [undefined, undefined, true, false],
    );
  });

  it('makes paths absolute, follows GOTO3_HOME with the store, and takes an empty variable as unset', () => {
    const environment = readEnvironment(
      {
        GOTO3_HOME: 'state',
        TEMPORAL_CLI: './temporal',
        GOTO3_CACHE: '',
        TEMPORAL_NAMESPACE: '',
        NO_COLOR: '1',
        CI: 'true',
      },
      '/project',
    );
    assert.equal(environment.home, '/project/state');
    assert.equal(environment.storeUrl, 'file:///project/state/store');
    assert.equal(environment.temporalCli, '/project/temporal');
    assert.match(environment.cacheFolder, /\/\.cache\/goto3$/);
    assert.equal(environment.temporalNamespace, 'default');
    assert.deepEqual([environment.color, environment.ci], [false, true]);
    assert.equal(readEnvironment({ GOTO3_STORE: 's3://bucket/prefix' }).storeUrl, 's3://bucket/prefix');
  });
});
