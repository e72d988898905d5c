import { describe, expect, it } from "vitest";
import { HttpFault } from "../../http/fault.ts";
import { createLeash, whileHeld } from "./call-timeout.ts";

describe("whileHeld", () => {
  it("D15: what fails after its caller has gone is nobody's unhandled rejection", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", note);
    const leash = createLeash(1000, Date.now);
    leash.end("left");
    leash.drop();
    await expect(whileHeld(Promise.reject(new HttpFault("ECONNREFUSED")), leash.signal)).rejects.toThrow("left");
    await new Promise(setImmediate);
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });
});
