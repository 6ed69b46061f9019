import { describeArrays } from './arrays.ts';
import { setUpLocal } from './local-fixture.ts';

describeArrays('local', setUpLocal);
