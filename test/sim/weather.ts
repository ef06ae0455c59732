/** The weather of the storms: random faults of witnesses, lines and targets, and the calm after them. */
import type { World } from "../../sim/world.js";
import { siteId } from "../../src/core/base/ids.js";
import { nextBelow, nextFraction, type RandomState } from "../../src/core/base/random.js";

export const SITES = [siteId("a"), siteId("b")];

/** Everything is mended: all run, all hear each other, all targets are up. */
export function calm(w: World): void {
  w.heal();
  w.loss = 0;
  w.diskMs = [0, 5];
  for (const process of w.processes) w.resume(process);
  // Those that were asked to stop are gone then.
  w.run(2000);
  for (const process of w.processes) {
    w.resume(process);
    w.start(process);
  }
  for (const site of SITES) for (const id of ["web", "api", "db"]) w.outside.set(`shop/${site}/${id}`, "up");
}

/** One random fault, or one that ends. */
export function fault(w: World, random: RandomState): void {
  const process = w.processes[nextBelow(random, 3)];
  if (process === undefined) return;
  const places = ["w-a", "w-b", "w-c", "site a", "site b"];
  const place = places[nextBelow(random, places.length)] ?? "";
  const target = `shop/${SITES[nextBelow(random, 2)]}/${["web", "api", "db"][nextBelow(random, 3)]}`;
  switch (nextBelow(random, 12)) {
    case 0:
      return w.crash(process);
    case 1:
    case 2:
      for (const other of w.processes) w.start(other);
      return;
    case 3:
      return w.pause(process);
    case 4:
    case 5:
      for (const other of w.processes) w.resume(other);
      return;
    case 6:
      // One way only, or both.
      w.cut(process.id, place);
      if (nextBelow(random, 2) === 0) w.cut(place, process.id);
      return;
    case 7:
    case 8:
      return w.heal();
    case 9:
      return w.outside.set(target, nextFraction(random) < 0.5 ? "refused" : "silent");
    case 10:
      return w.stop(process);
    default:
      return w.outside.set(target, "up");
  }
}
