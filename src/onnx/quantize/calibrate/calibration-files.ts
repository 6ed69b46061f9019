/** Names of files in a calibration's folder. */
export const calibrationFiles = { model: 'observed.onnx', batches: 'batches.bin' } as const;
