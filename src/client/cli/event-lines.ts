import { formatDuration } from '../../contracts/units.ts';
import type { StackEvent } from '../../stack/events.ts';

/** One line about a child of the stack: when, who, what. */
export function eventLine(event: StackEvent): string {
  return `${event.at.slice(11, 19)}Z  ${event.name.padEnd(16)}  ${what(event)}`;
}

function what(event: StackEvent): string {
  switch (event.kind) {
    case 'started':
      return `started, process ${event.pid}${event.restarts > 0 ? `, restart ${event.restarts}` : ''}`;
    case 'adopted':
      return `still there from an earlier up, process ${event.pid}`;
    case 'ready':
      return `ready after ${formatDuration(event.afterMs)}`;
    case 'died':
      return `died (${event.how}); again in ${formatDuration(event.restartInMs)}; its log: ${event.log}`;
    case 'stopping':
      return `stopping: ${event.why}`;
    case 'killed':
      return `killed: it took more than its ${formatDuration(event.graceMs)} of grace`;
    case 'stopped':
      return 'stopped';
    case 'unhealthy':
      return `unhealthy: ${event.reason}`;
    case 'healthy':
      return 'healthy again';
  }
}
