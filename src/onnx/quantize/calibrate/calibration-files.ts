/** A calibration's folder, in the system's folder for temporary files, and the files in it. */
export const calibrationFolderPrefix = 'goto3-calibrate-';
export const calibrationFiles = { model: 'observed.onnx', batches: 'batches.bin' } as const;
