// `npm run test:mesh [-- --all] [-- NAME …]`: what we ship for Kubernetes and meshes, held against the real programs: helm, Envoy
// Gateway and, with --all or where it was built before, Istio.
// Builds them with Go (once; the first time takes minutes), runs test/mesh. Ends on one line: N passed, N failed, N skipped.
import { count, finish, noCounts, run, runSuite } from "./lib/suite.ts";

/** What a new machine builds within its time, about seven minutes on two cores. */
const NEEDED = ["envoy", "opa", "helm", "kubernetes-validate", "envoy-gateway"];
/** Beside them with `--all`; without it, what is there already is tried, too. */
const FURTHER = ["istiod-files"];

const { all, rest } = options(process.argv.slice(2));

const counts = noCounts();
if (!run("the tools", process.execPath, ["tools/install-tools.ts", ...NEEDED, ...(all ? FURTHER : [])]))
  count(counts, "the tools that the tests need", false);
runSuite("mesh", ["run", "--project", "mesh", ...rest], counts);
finish(counts);

function options(args: readonly string[]) {
  return { all: args.includes("--all"), rest: args.filter((one) => one !== "--all") };
}
