import { describe, expect, it } from "vitest";
import { HttpFault } from "../http/fault.ts";
import { faultIn, orAborted } from "./abort.ts";

describe("orAborted", () => {
  it("D15: what fails after its caller has gone is nobody's unhandled rejection", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", note);
    const signal = AbortSignal.abort(new HttpFault("left"));
    await expect(orAborted(Promise.reject(new HttpFault("unreachable")), signal)).rejects.toThrow("left");
    await new Promise(setImmediate);
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });
});

it.each([
  [new HttpFault("shutdown"), "shutdown"],
  [new DOMException("x", "TimeoutError"), "timeout"],
  [new Error("secret"), "aborted"],
  ["secret", "aborted"],
])("faultIn: %s is %s", (reason, code) => expect(faultIn(AbortSignal.abort(reason)).code).toBe(code));
