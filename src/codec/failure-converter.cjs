// Messages and stacks of failures go where payloads go, so that the codec encodes them too; the server, and a Web UI without
// a codec server, see "Encoded failure" and the type. CommonJS: the SDK loads this file by its path, with `require`, in
// processes where TypeScript can only be imported.
'use strict';
const { DefaultFailureConverter } = require('@temporalio/common');

exports.failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
