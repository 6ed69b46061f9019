import { describeRunner } from '../../jobs/conformance.ts';
import { setUpSageMaker } from './fixture.ts';

describeRunner('sagemaker, on the double', () => setUpSageMaker());
