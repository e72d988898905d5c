// `npm run test:mesh [-- NAME …]`: what we ship for Kubernetes and meshes, held against the real programs: helm.
// Builds them with Go (once; the first time takes minutes), runs test/mesh. Ends on one line: N passed, N failed, N skipped.
import { count, finish, noCounts, run, runSuite } from "./lib/suite.ts";

const NEEDED = ["opa", "helm", "kubernetes-validate"];

const counts = noCounts();
if (!run("the tools", process.execPath, ["tools/install-tools.ts", ...NEEDED]))
  count(counts, "the tools that the tests need", false);
runSuite("mesh", ["run", "--project", "mesh", ...process.argv.slice(2)], counts);
finish(counts);
