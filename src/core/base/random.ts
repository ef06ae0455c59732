/**
 * A seeded random source whose whole state is four plain numbers (xoshiro128**, Blackman and Vigna 2018).
 *
 * The core may not roll dice of its own: it is handed a seed, and the state travels with it, so that a run can be
 * cloned, hashed and replayed. Streams for different purposes are drawn from different seeds; one more draw in one
 * place then does not shift the rest.
 */

/** The state of one stream: four unsigned 32-bit integers, not all zero. Mutated by `nextUint32`. */
export type RandomState = [number, number, number, number];

/** A stream for `seed` (any number; its low 32 bits count) and `purpose` (a name that separates streams). */
export function randomState(seed: number, purpose: string): RandomState {
  let h = seed >>> 0;
  for (let i = 0; i < purpose.length; i++) h = Math.imul(h ^ purpose.charCodeAt(i), 0x01000193) >>> 0;
  // SplitMix32 spreads near-equal seeds over the state, as the generator's authors ask.
  const split = (): number => {
    h = (h + 0x9e3779b9) >>> 0;
    let z = h;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  const state: RandomState = [split(), split(), split(), split()];
  if ((state[0] | state[1] | state[2] | state[3]) === 0) state[0] = 1;
  return state;
}

/** The next unsigned 32-bit integer; advances `state`. */
function nextUint32(state: RandomState): number {
  const s1 = state[1];
  const product = Math.imul(s1, 5);
  const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
  const t = s1 << 9;
  state[2] = (state[2] ^ state[0]) >>> 0;
  state[3] = (state[3] ^ s1) >>> 0;
  state[1] = (s1 ^ state[2]) >>> 0;
  state[0] = (state[0] ^ state[3]) >>> 0;
  state[2] = (state[2] ^ t) >>> 0;
  state[3] = ((state[3] << 11) | (state[3] >>> 21)) >>> 0;
  return result;
}

/** A uniform integer in `[0, bound)`; `bound` from 1 to 2^32. Rejection keeps it unbiased. */
export function nextBelow(state: RandomState, bound: number): number {
  const limit = 0x100000000 - (0x100000000 % bound);
  let value = nextUint32(state);
  while (value >= limit) value = nextUint32(state);
  return value % bound;
}

/** A uniform number in `[0, 1)` with 32 bits of randomness. */
export function nextFraction(state: RandomState): number {
  return nextUint32(state) / 0x100000000;
}
