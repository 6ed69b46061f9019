import type { DataType } from './data-type.ts';

/**
 * An ONNX model as our code sees it: plain immutable data, every tensor in one representation. Transformations build new
 * objects and share what they leave alone, so an input model is never changed and big weights are never copied.
 */
export interface Model extends Extra {
  readonly irVersion: number;
  /** Operator sets by domain; `''` is the standard one. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly domain: string;
  readonly modelVersion: number;
  readonly graph: Graph;
  readonly metadata: ReadonlyMap<string, string>;
}

export interface Graph extends Extra {
  readonly name: string;
  /** In topological order. */
  readonly nodes: readonly Node[];
  readonly initializers: readonly Tensor[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Types of values inside the graph, where the exporter noted them. */
  readonly valueInfo: readonly ValueInfo[];
}

export interface Node extends Extra {
  /** May be empty or repeated in models of other exporters; see `nameNodes`. */
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  /** `''` stands for an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly Attribute[];
}

/** An int64 beyond 2^53 (old exporters write INT64_MAX for "to the end") stays a bigint; all others are numbers. */
export type Int = number | bigint;

export type AttributeValue =
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'int'; readonly value: Int }
  /** Bytes: usually UTF-8 text, but some operators keep binary data here. */
  | { readonly type: 'string'; readonly value: Uint8Array }
  | { readonly type: 'tensor'; readonly value: Tensor }
  | { readonly type: 'graph'; readonly value: Graph }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'ints'; readonly value: readonly Int[] }
  | { readonly type: 'strings'; readonly value: readonly Uint8Array[] }
  | { readonly type: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly type: 'graphs'; readonly value: readonly Graph[] }
  /** Sparse tensors, type protos, references in functions: their bytes are in `extra`, `value` is the type's code. */
  | { readonly type: 'opaque'; readonly value: number };
export type Attribute = { readonly name: string } & AttributeValue & Extra;

/** Elements of a tensor: little-endian bytes as in `raw_data`, whatever field the file used; strings as byte strings. */
export interface Tensor extends Extra {
  readonly name: string;
  readonly type: DataType;
  readonly dims: readonly number[];
  /** `dims` × element size bytes, often a view on the file's bytes: read-only. Empty for strings and where `stored` is. */
  readonly bytes: Uint8Array;
  /** A weight that is not in memory; `tensorBytes` and `valuesOf` read it, so that a large model costs one weight at a time. */
  readonly stored?: StoredBytes;
  /** Only for `type: 'string'`. */
  readonly strings?: readonly Uint8Array[];
}

/** Bytes that are read (from another file) or made (converted, quantized) when somebody asks, each time anew. */
export interface StoredBytes {
  readonly sizeBytes: number;
  /** All of them; blocks for as long as the disk or the arithmetic takes. Throws `OnnxError` when they are gone. */
  read(): Uint8Array;
}

/** A dimension: a size, a symbolic name shared by equal dimensions, or unknown. */
export type Dim = number | string | undefined;

export interface ValueInfo extends Extra {
  readonly name: string;
  /** Undefined for values that are not dense tensors (sequences, maps): their type's bytes are kept in `typeExtra`. */
  readonly type: DataType | undefined;
  /** Undefined: the rank is unknown. */
  readonly dims: readonly Dim[] | undefined;
  readonly typeExtra?: readonly Uint8Array[];
}

/** Wire fields that we do not interpret (doc strings, annotations, newer fields), written back as they came. */
export interface Extra {
  readonly extra?: readonly Uint8Array[];
}
