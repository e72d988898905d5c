// `npm run test:mesh [-- --all] [-- NAME …]`: what we ship for Kubernetes and meshes, held against the real programs: helm, Envoy
// and, with --all or where they were built before, Envoy Gateway and Istio.
// Builds them with Go (once; the first time takes minutes), runs test/mesh. Ends on one line: N passed, N failed, N skipped.
import { spawnSync } from "node:child_process";
import { count, finish, noCounts, run, runSuite } from "./lib/suite.ts";

/** What a new machine builds within its time, about a minute on two cores. */
const NEEDED = ["envoy", "opa", "helm", "kubernetes-validate"];
/** Beside them with `--all`, which takes a new machine about ten minutes more; without it, what is there already is tried, too. */
const FURTHER = ["envoy-gateway", "istiod-files"];
/**
 * A network of its own, where the system gives one: Envoy Gateway has fixed ports, some of them on all addresses. The tests run in
 * it as a child of this program, without another network.
 */
const OWN_NETWORK = ["-rn", "sh", "-c", 'ip link set lo up && exec "$0" "$@"'];
const INSIDE = "MESH_TOOLS";

const args = process.argv.slice(2);
const isInside = process.env[INSIDE] !== undefined;
const hasTools = isInside ? process.env[INSIDE] === "ready" : installTools();

if (!isInside && spawnSync("unshare", [...OWN_NETWORK, "true"]).status === 0) {
  const self = [process.execPath, ...process.execArgv, import.meta.filename, ...args];
  const env = { ...process.env, [INSIDE]: hasTools ? "ready" : "missing" };
  process.exitCode = spawnSync("unshare", [...OWN_NETWORK, ...self], { stdio: "inherit", env }).status ?? 1;
} else {
  const counts = noCounts();
  if (!hasTools) count(counts, "the tools that the tests need", false);
  runSuite("mesh", ["run", "--project", "mesh", ...args.filter((one) => one !== "--all")], counts);
  finish(counts);
}

function installTools(): boolean {
  const names = [...NEEDED, ...(args.includes("--all") ? FURTHER : [])];
  return run("the tools", process.execPath, ["tools/install-tools.ts", ...names]);
}
