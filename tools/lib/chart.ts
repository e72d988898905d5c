// The schema of the Helm chart's values (`npm run docs` writes it). Pure.

type Schema = boolean | { readonly [key: string]: unknown };

const text: Schema = { type: "string" };
const texts: Schema = { type: "array", items: text };
const flag: Schema = { type: "boolean" };
const count = (minimum: number): Schema => ({ type: "integer", minimum });
/** What Kubernetes has a schema for: it is passed on as it is. */
const kubernetes: Schema = { type: "object" };
const kubernetesList: Schema = { type: "array", items: kubernetes };
const labels: Schema = { type: "object", additionalProperties: text };
const name: Schema = { type: "string", pattern: "^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$" };
const nameOrNone: Schema = { anyOf: [name, { const: "" }] };
/** A relative path that stays below its folder, as volumes demand; no part begins with a dot. */
const path: Schema = { type: "string", pattern: "^[^/:.][^/:]*(/[^/:.][^/:]*)*$" };

function object(properties: Readonly<Record<string, Schema>>, more: object = {}): Schema {
  return { type: "object", additionalProperties: false, properties, ...more };
}

const part = object({
  replicas: count(1),
  logLevel: { enum: ["debug", "info", "warn", "error"] },
  preStopSeconds: { type: "integer", minimum: 5, maximum: 3600 },
  resources: kubernetes,
  autoscaling: object({
    enabled: flag,
    minReplicas: count(1),
    maxReplicas: count(1),
    targetCPUUtilizationPercentage: { type: "integer", minimum: 1, maximum: 100 },
  }),
  podDisruptionBudget: object({ enabled: flag, maxUnavailable: { anyOf: [count(0), text] } }),
  ...{ podAnnotations: labels, podLabels: labels, nodeSelector: labels, affinity: kubernetes },
  ...{ tolerations: kubernetesList, topologySpreadConstraints: kubernetesList, priorityClassName: nameOrNone },
  ...{ extraVolumes: kubernetesList, extraVolumeMounts: kubernetesList },
});

const files: Schema = {
  type: "array",
  items: object(
    {
      ...{ secret: name, configMap: name },
      token: object({ audience: text, expirationSeconds: count(600) }, { required: ["audience"] }),
      folder: path,
      items: {
        type: "array",
        minItems: 1,
        items: { anyOf: [path, object({ key: text, path }, { required: ["key", "path"] })] },
      },
      for: { type: "array", minItems: 1, items: { enum: ["serve", "broker"] } },
    },
    {
      required: ["folder", "items"],
      oneOf: [{ required: ["secret"] }, { required: ["configMap"] }, { required: ["token"] }],
    },
  ),
};

const listenerTls = object({ secretName: nameOrNone, clientSans: texts });

/** values.schema.json: an unknown value is refused. */
export function valuesSchemaFile(): string {
  const schema = {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Values of the chart mcp-authz",
    ...(object({
      ...{ nameOverride: text, fullnameOverride: text, global: kubernetes },
      image: object({
        ...{ repository: text, tag: text, pullSecrets: { type: "array", items: name } },
        digest: { type: "string", pattern: "^(sha256:[0-9a-f]{64})?$" },
        pullPolicy: { enum: ["Always", "IfNotPresent", "Never"] },
      }),
      config: kubernetes, // mcp-authz itself refuses what it does not know
      policy: object({
        files: { type: "object", propertyNames: path, additionalProperties: { type: ["string", "null"] } },
        existingConfigMap: nameOrNone,
        mountPath: { type: "string", pattern: "^/." },
      }),
      files,
      env: { type: "array", items: { type: "object", required: ["name"] } },
      tls: object({ mode: { enum: ["secret", "mesh"] }, serve: listenerTls, broker: listenerTls, clientCa: flag }),
      clusterDomain: name,
      ...{ serve: part, broker: part },
      service: object({ annotations: labels }),
      serviceAccount: object({ create: flag, name: nameOrNone, annotations: labels }),
      networkPolicy: object({
        enabled: flag,
        ...{ dataPlane: kubernetesList, monitoring: kubernetesList, egress: kubernetesList },
      }),
      metrics: object({ serviceMonitor: object({ enabled: flag, interval: text, labels }) }),
      alerts: object({ kind: { enum: ["ConfigMap", "PrometheusRule", "none"] }, labels }),
      dashboards: object({ enabled: flag, labels }),
    }) as object),
  };
  return `${JSON.stringify(schema, null, 1)}\n`;
}
