/**
 * Names of targets while their resolver is slow, silent, or wrong.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { promisify } from "node:util";
import { NameCache, type Resolve } from "../../../src/drivers/probe/name-cache.js";

/** A resolver that answers when told. */
class Resolver {
  readonly asked: string[] = [];
  readonly #pending = new Map<string, Parameters<Resolve>[1]>();
  readonly resolve: Resolve = (name, done) => {
    this.asked.push(name);
    this.#pending.set(name, done);
  };

  answer(name: string, ...addresses: string[]): void {
    const found = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    this.#take(name)(null, found);
  }

  fail(name: string, code: string): void {
    this.#take(name)(Object.assign(new Error(code), { code }), []);
  }

  #take(name: string): Parameters<Resolve>[1] {
    const done = this.#pending.get(name);
    this.#pending.delete(name);
    assert.ok(done, `nobody asked for ${name}`);
    return done;
  }
}

function find(cache: NameCache, name: string): Promise<string> {
  return promisify<string>((done) =>
    cache.lookup(name, { family: 0 }, (error, address) => done(error, String(address))),
  )();
}

test("one name is looked up once however many ask, and its answer is kept", async () => {
  const resolver = new Resolver();
  const cache = new NameCache(resolver.resolve);
  const both = [find(cache, "a.example"), find(cache, "a.example")];
  resolver.answer("a.example", "10.0.0.1");
  assert.deepEqual(await Promise.all(both), ["10.0.0.1", "10.0.0.1"]);
  assert.equal(await find(cache, "a.example"), "10.0.0.1");
  assert.deepEqual(resolver.asked, ["a.example"]);
});

test("a dead resolver holds two threads and no more", async () => {
  const resolver = new Resolver();
  const cache = new NameCache(resolver.resolve);
  const names = ["a.example", "b.example", "c.example"];
  const found = names.map((name) => find(cache, name));
  assert.deepEqual(resolver.asked, ["a.example", "b.example"]);
  resolver.answer("b.example", "10.0.0.2");
  assert.deepEqual(resolver.asked, names);
  resolver.answer("a.example", "10.0.0.1");
  resolver.answer("c.example", "10.0.0.3");
  assert.deepEqual(await Promise.all(found), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
});

test("the addresses known last serve on while the resolver is silent, but not when the name is gone", async () => {
  const resolver = new Resolver();
  const cache = new NameCache(resolver.resolve, 0);
  const first = find(cache, "a.example");
  resolver.answer("a.example", "10.0.0.1");
  await first;
  const second = find(cache, "a.example");
  resolver.fail("a.example", "EAI_AGAIN");
  assert.equal(await second, "10.0.0.1");
  const third = find(cache, "a.example");
  resolver.fail("a.example", "ENOTFOUND");
  await assert.rejects(third, { code: "ENOTFOUND" });
  const fourth = find(cache, "a.example");
  resolver.fail("a.example", "EAI_AGAIN");
  await assert.rejects(fourth, { code: "EAI_AGAIN" });
});

test("a resolver that hangs costs a known name no probe: its addresses serve meanwhile", async () => {
  const resolver = new Resolver();
  const cache = new NameCache(resolver.resolve, 0);
  const first = find(cache, "a.example");
  resolver.answer("a.example", "10.0.0.1");
  await first;
  // Nobody answers; a probe would give up after its 250 ms and call that the target's silence.
  const pending = find(cache, "a.example");
  const late = new Promise((resolve) => setTimeout(() => resolve("waits for the resolver"), 2000).unref());
  assert.equal(await Promise.race([pending, late]), "10.0.0.1");
  resolver.answer("a.example", "10.0.0.2");
  const next = find(cache, "a.example");
  resolver.answer("a.example", "10.0.0.2");
  assert.equal(await next, "10.0.0.2", "the answer that came late is known from then on");
});

test("a caller that wants one family gets that one, and all when it asks for all", async () => {
  const cache = new NameCache((_, done) =>
    done(null, [
      { address: "2001:db8::1", family: 6 },
      { address: "10.0.0.1", family: 4 },
    ]),
  );
  const ask = (family: number, all: boolean) =>
    new Promise((resolve) => cache.lookup("a", { family, all }, (_, address) => resolve(address)));
  assert.equal(await ask(4, false), "10.0.0.1");
  assert.equal(await ask(0, false), "2001:db8::1");
  assert.equal(((await ask(0, true)) as unknown[]).length, 2);
});
