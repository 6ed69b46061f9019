import { CancellationScope, isCancellation, log } from '@temporalio/workflow';
import type { Digest } from '../contracts/digest.ts';
import type { Notice } from '../contracts/messages.ts';
import { notifying } from './proxies.ts';
import { rootCause } from './root-cause.ts';

/** Whose news it is, and the spec whose webhook hears it; null: the one that the loop has now. */
export interface Whose {
  loop: string;
  n: number | null;
  specDigest: Digest | null;
}

/**
 * Tells whoever is on call, beside whatever else goes on: a webhook that is away for hours holds nothing up. One notice at
 * a time: a newer one takes the place of one that nobody has heard yet. A notice that a closing run takes along is rung
 * again by the next run, under the same key.
 */
export class Bell {
  private ringing: { key: string; scope: CancellationScope } | null = null;

  get isRinging(): boolean {
    return this.ringing !== null;
  }

  /** @param heard is called when the notice went out, or was given up after a day */
  ring(whose: Whose, notice: Notice, heard: () => void = () => undefined): void {
    if (this.ringing?.key === notice.key) return;
    this.silence();
    const ringing = { key: notice.key, scope: new CancellationScope({ cancellable: true }) };
    this.ringing = ringing;
    ringing.scope
      .run(() => notifying.notify.executeWithOptions({ summary: notice.event }, [{ ...whose, notice }]))
      .catch((error: unknown) => {
        if (isCancellation(error)) throw error;
        log.warn('nobody was notified', {
          loop: whose.loop,
          n: whose.n,
          event: notice.event,
          problem: rootCause(error),
        });
      })
      .then(heard)
      .catch(() => undefined)
      .finally(() => {
        if (this.ringing === ringing) this.ringing = null;
      });
  }

  silence(): void {
    this.ringing?.scope.cancel();
    this.ringing = null;
  }
}
