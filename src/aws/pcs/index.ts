/** The names of @aws-sdk/client-pcs, as far as goto3 needs them: what `loadPcs` gives where that package is not installed. */
export { PCSClient, type PCSClientConfig } from './client.ts';
export * from './commands.ts';
export {
  AccessDeniedException,
  ConflictException,
  InternalServerException,
  PCSServiceException,
  ResourceNotFoundException,
  ServiceQuotaExceededException,
  ThrottlingException,
  ValidationException,
} from './service-errors.ts';
