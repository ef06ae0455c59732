/** Simulated lines for tests: which probes of a living target stay silent, from a seed. */
import { nextFraction, type RandomState } from "../../../src/core/base/random.js";
import { HostRun } from "../../../src/core/health/host-run.js";
import { Neighbours } from "../../../src/core/health/neighbours.js";
import { PathLoss } from "../../../src/core/health/silence.js";
import { type Path, TargetWatch } from "../../../src/core/health/target-watch.js";
import { ok, silence, targetOf } from "./fixture.js";

/** Whether the next probe over the line stays silent. */
export type Line = () => boolean;

/** Each probe is lost on its own with probability `loss`. */
export function bernoulli(random: RandomState, loss: number): Line {
  return () => nextFraction(random) < loss;
}

/** Gilbert-Elliott: two states with their own loss; `toBad` and `toGood` are the chances to change state at a probe. */
export function gilbertElliott(
  random: RandomState,
  line: { lossGood: number; lossBad: number; toBad: number; toGood: number },
): Line {
  let bad = false;
  return () => {
    bad = bad ? nextFraction(random) >= line.toGood : nextFraction(random) < line.toBad;
    return nextFraction(random) < (bad ? line.lossBad : line.lossGood);
  };
}

export function newPath(): Path {
  return { loss: new PathLoss(), neighbours: new Neighbours(), host: new HostRun() };
}

/** Some targets of one host, probed in turn every 100 ms. */
export class Host {
  readonly watches: TargetWatch[];
  round = 0;

  constructor(count: number, falseAlarm: number, fall = 3) {
    const path = newPath();
    this.watches = Array.from(
      { length: count },
      (_, i) => new TargetWatch(`shop/a/t${i}`, targetOf(`t${i}`, { falseAlarm, fall, rise: 1 }), path),
    );
  }

  get isUp(): boolean {
    return this.watches.every((watch) => watch.opinion === "up");
  }

  /** One probe of each target over its line (or the only one). Returns how many were called down by it. */
  probe(...lines: readonly Line[]): number {
    let called = 0;
    const atMs = ++this.round * 100;
    for (const [i, watch] of this.watches.entries()) {
      const isSilent = (lines[i] ?? lines[0])?.() ?? false;
      const sentMs = atMs + i * 10;
      const changed = watch.onResult(isSilent ? silence : ok, sentMs, sentMs + 80);
      if (changed && watch.opinion === "down") called++;
    }
    return called;
  }
}
