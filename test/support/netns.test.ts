/**
 * The laboratory itself: a cut cuts what it is told to, and loss is the share that was asked for.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NetLab, skipWithoutNetns } from "./netns.js";

/** Which of the addresses a process at the site reaches: a closed port that refuses is an answer, silence is none. */
function reached(lab: NetLab, from: number, addresses: readonly string[]): string[] {
  const script = `
    const answers = await Promise.all(${JSON.stringify(addresses)}.map((host) => new Promise((resolve) => {
      const socket = require("node:net").connect({ host, port: 9 });
      socket.on("error", (error) => resolve(error.code === "ECONNREFUSED" ? [host] : []));
      setTimeout(() => { socket.destroy(); resolve([]); }, 700);
    })));
    console.log(answers.flat().join(" "));
    process.exit();`;
  const out = lab.run(from, process.execPath, ["-e", `(async () => {${script}})()`]);
  return out
    .trim()
    .split(" ")
    .filter((word) => word !== "");
}

test("the lab cuts exactly what it is told to cut", { skip: skipWithoutNetns() }, (t) => {
  const lab = NetLab.create({ sites: 3, carriers: 2, addresses: 2 });
  t.after(() => lab.destroy());
  const [two, two1, two11, three, three1] = [
    lab.address(2),
    lab.address(2, 1),
    lab.address(2, 1, 1),
    lab.address(3),
    lab.address(3, 1),
  ];
  const all = [two, two1, two11, three, three1];
  assert.deepEqual(reached(lab, 1, all), all);
  lab.cutBoth(1, 2, 0);
  assert.deepEqual(reached(lab, 1, all), [two1, two11, three, three1], "cut on one carrier, to one site");
  lab.heal();
  lab.isolate(3);
  assert.deepEqual(reached(lab, 1, all), [two, two1, two11]);
  lab.heal();
  lab.cut(2, 1);
  assert.deepEqual(reached(lab, 1, all), [three, three1], "answers from site 2 are lost");
  lab.heal();
  assert.deepEqual(reached(lab, 1, all), all);
});

test("loss takes about the share of packets that it was given", { skip: skipWithoutNetns() }, (t) => {
  const lab = NetLab.create({ sites: 2 });
  t.after(() => lab.destroy());
  lab.loss(1, 2, 30);
  const script = `
    const socket = require("node:dgram").createSocket("udp4");
    let sent = 0;
    const next = () => (sent++ < 1000 ? socket.send("x", 9, ${JSON.stringify(lab.address(2))}, next) : setTimeout(() => process.exit(), 50));
    socket.on("error", () => {});
    next();`;
  lab.run(1, process.execPath, ["-e", script]);
  const seen = /Udp: (\d+) (\d+)/.exec(lab.run(2, "cat", ["/proc/net/snmp"]));
  const arrived = Number(seen?.[1]) + Number(seen?.[2]);
  assert.ok(arrived > 600 && arrived < 800, `${arrived} of 1000 arrived`);
});
