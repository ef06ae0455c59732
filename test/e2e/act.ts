/**
 * Acts of one scene: subtests that build on each other. The first that fails ends the scene, because what
 * follows would only fail for its sake, and the scene then prints its logs.
 */
import type { TestContext } from "node:test";

/** Runs a subtest and throws when it failed. */
export async function act(t: TestContext, name: string, body: () => Promise<void>): Promise<void> {
  let failure: unknown = null;
  await t.test(name, async () => {
    try {
      await body();
    } catch (error) {
      failure = error;
      throw error;
    }
  });
  if (failure !== null) throw new Error(`the scene ends here: ${name}`, { cause: failure });
}
