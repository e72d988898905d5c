import { defineConfig } from "vitest/config";

const WITH_PARTS = { testTimeout: 60_000, hookTimeout: 120_000, fileParallelism: false } as const;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "test/service/**/*.test.ts", "test/fuzz/**/*.test.ts"],
          testTimeout: 20_000,
        },
      },
      { test: { name: "e2e", include: ["test/e2e/**/*.test.ts"], ...WITH_PARTS } },
      { test: { name: "conformance", include: ["test/conformance/**/*.test.ts"], ...WITH_PARTS } },
      {
        test: {
          name: "containers",
          include: ["test/containers/**/*.test.ts"],
          ...WITH_PARTS,
          hookTimeout: 300_000,
          env: {
            // Its clean-up is an image of its own; ours looks whether anything is left.
            TESTCONTAINERS_RYUK_DISABLED: "true",
            // Ports are published on loopback only; inside a container the library would look elsewhere.
            TESTCONTAINERS_HOST_OVERRIDE: "127.0.0.1",
          },
        },
      },
      {
        test: {
          name: "attack",
          include: ["test/attack/**/*.test.ts"],
          ...WITH_PARTS,
          testTimeout: 120_000,
        },
      },
      { test: { name: "mesh", include: ["test/mesh/**/*.test.ts"], ...WITH_PARTS } },
      {
        test: { name: "keycloak", include: ["test/keycloak/**/*.test.ts"], testTimeout: 30_000, hookTimeout: 30_000 },
      },
    ],
  },
});
