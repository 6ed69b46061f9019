import type { GraphBuilder, Value } from '../build/graph-builder.ts';
import type { EncoderConfig } from './config.ts';
import type { LayerNames } from './layout.ts';
import type { EncoderWeights } from './weights.ts';

type Floats = Value<'float32'>;

/**
 * The parts of a transformer encoder with post-layer normalisation (Vaswani et al. 2017, Devlin et al. 2018), written in the
 * forms that ONNX Runtime's CPU provider fuses: MatMul + Add of constant weights [inputs, outputs], Gelu as
 * x / √2 → Erf → + 1 → · x → · 0.5, LayerNormalization behind the residual Add.
 */
export class Blocks {
  private readonly g: GraphBuilder;
  private readonly config: EncoderConfig;
  private readonly weights: EncoderWeights;

  constructor(g: GraphBuilder, config: EncoderConfig, weights: EncoderWeights) {
    this.g = g;
    this.config = config;
    this.weights = weights;
  }

  /** x [batch, sequence, hidden] → the same; `bias` [batch, 1, 1, sequence] is 0 for tokens and -10000 for padding. */
  block(x: Floats, bias: Floats, names: LayerNames): Floats {
    const { hiddenSize, intermediateSize } = this.config;
    const attended = this.attention(x, bias, names);
    const between = this.norm(this.g.add(attended, x), names.attentionNorm);
    const inner = this.activation(this.linear(between, names.intermediate, hiddenSize, intermediateSize));
    const outer = this.linear(inner, names.output, intermediateSize, hiddenSize);
    return this.norm(this.g.add(outer, between), names.outputNorm);
  }

  norm(x: Floats, layer: string): Floats {
    const { hiddenSize, layerNormEpsilon } = this.config;
    const scale = this.g.weight(`${layer}.weight`, 'float32', this.weights.scale(layer, hiddenSize));
    const bias = this.g.weight(`${layer}.bias`, 'float32', this.weights.bias(layer, hiddenSize));
    return this.g.within(layer, () => this.g.layerNormalization(x, scale, bias, layerNormEpsilon));
  }

  /** softmax(Q Kᵀ / √d + bias) V over heads of size d. */
  private attention(x: Floats, bias: Floats, names: LayerNames): Floats {
    const { hiddenSize, heads } = this.config;
    const size = hiddenSize / heads;
    const head = (layer: string, perm: readonly number[]): Floats => {
      const projected = this.linear(x, layer, hiddenSize, hiddenSize);
      return this.g.within(layer, () => this.g.transpose(this.g.reshape(projected, [0, 0, heads, size]), perm));
    };
    const query = head(names.query, [0, 2, 1, 3]);
    const key = head(names.key, [0, 2, 3, 1]);
    const value = head(names.value, [0, 2, 1, 3]);
    const context = this.g.within(names.attentionOutput.replace(/[^.]*$/, 'scores'), () => {
      const scores = this.g.div(this.g.matMul(query, key), this.g.scalar(Math.sqrt(size)));
      const mixed = this.g.matMul(this.g.softmax(this.g.add(scores, bias)), value);
      return this.g.reshape(this.g.transpose(mixed, [0, 2, 1, 3]), [0, 0, hiddenSize]);
    });
    return this.linear(context, names.attentionOutput, hiddenSize, hiddenSize);
  }

  private linear(x: Floats, layer: string, inputs: number, outputs: number): Floats {
    const matrix = this.g.weight(`${layer}.weight`, 'float32', this.weights.matrix(layer, inputs, outputs));
    const bias = this.g.weight(`${layer}.bias`, 'float32', this.weights.bias(layer, outputs));
    return this.g.within(layer, () => this.g.add(this.g.matMul(x, matrix), bias));
  }

  private activation(x: Floats): Floats {
    const { g } = this;
    switch (this.config.activation) {
      case 'relu':
        return g.relu(x);
      case 'gelu':
        return g.mul(g.mul(x, g.add(g.erf(g.div(x, g.scalar(Math.SQRT2))), g.scalar(1))), g.scalar(0.5));
      case 'gelu-tanh': {
        // 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))
        const cube = g.mul(g.mul(x, x), x);
        const inner = g.mul(g.add(x, g.mul(cube, g.scalar(0.044715))), g.scalar(Math.sqrt(2 / Math.PI)));
        return g.mul(g.mul(x, g.add(g.tanh(inner), g.scalar(1))), g.scalar(0.5));
      }
    }
  }
}
