// The contract of the wire stacks, over both.
import { wireStackContract } from "../contract/wire-stack.ts";

wireStackContract("http2");
wireStackContract("grpc-js");
