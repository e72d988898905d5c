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

/** A map of values with a default each: `null` would take the default away, and with it what it holds. */
function whole(properties: Readonly<Record<string, Schema>>): Schema {
  return object(properties, { required: Object.keys(properties).filter((key) => key !== "global") });
}

/** Labels and names that the chart gives itself: what selects pods, and what begins new ones. */
const OWN_LABELS = ["name", "instance", "component", "version", "managed-by"].map((one) => `app.kubernetes.io/${one}`);
const otherLabels: Schema = {
  ...labels,
  propertyNames: { not: { enum: [...OWN_LABELS, "helm.sh/chart"] } },
};
const tag: Schema = { type: "string", pattern: "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$" };
const digest: Schema = { type: "string", pattern: "^(sha256:[0-9a-f]{64})?$" };
const percent: Schema = { type: "string", pattern: "^(100|[1-9]?[0-9])%$" };

const part = whole({
  image: whole({ tag, digest }),
  replicas: count(1),
  logLevel: { enum: ["debug", "info", "warn", "error"] },
  preStopSeconds: { type: "integer", minimum: 5, maximum: 3600 },
  resources: kubernetes,
  autoscaling: whole({
    enabled: flag,
    minReplicas: count(1),
    maxReplicas: count(1),
    targetCPUUtilizationPercentage: { type: "integer", minimum: 1, maximum: 100 },
  }),
  podDisruptionBudget: whole({ enabled: flag, maxUnavailable: { anyOf: [count(0), percent] } }),
  podAnnotations: { ...labels, propertyNames: { not: { const: "checksum/config-at-start" } } },
  ...{ podLabels: otherLabels, nodeSelector: labels, affinity: kubernetes },
  ...{ tolerations: kubernetesList, topologySpreadConstraints: kubernetesList, priorityClassName: nameOrNone },
  extraVolumes: { type: "array", items: { type: "object", required: ["name"], properties: { name: text } } },
  ...{ extraVolumeMounts: kubernetesList },
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

/** Not where the chart or the image has something of its own. */
const mountPath: Schema = {
  type: "string",
  pattern: "^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$",
  not: { pattern: "^/(etc/mcp-authz|proc|sys|dev|app|usr|bin|lib)(/|$)|^/tmp$" },
};
const env: Schema = {
  type: "array",
  items: object(
    { name: { type: "string", pattern: "^[A-Za-z_][A-Za-z0-9_]*$" }, value: text, valueFrom: kubernetes },
    { required: ["name"] },
  ),
};
const interval: Schema = { type: "string", pattern: "^[1-9][0-9]*(ms|s|m|h)$" };
const listenerTls = whole({ secretName: nameOrNone, clientSans: texts });

/** values.schema.json: an unknown value is refused. */
export function valuesSchemaFile(): string {
  const schema = {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Values of the chart mcp-authz",
    ...(whole({
      nameOverride: { type: "string", pattern: "^([a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?)?$" },
      fullnameOverride: { type: "string", pattern: "^([a-z]([-a-z0-9]{0,48}[a-z0-9])?)?$" },
      global: kubernetes,
      image: whole({
        repository: {
          type: "string",
          pattern: "^([A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*)?$",
        },
        ...{ tag, digest, pullSecrets: { type: "array", items: name } },
        pullPolicy: { enum: ["Always", "IfNotPresent", "Never"] },
      }),
      config: kubernetes, // mcp-authz itself refuses what it does not know
      policy: whole({
        files: { type: "object", propertyNames: path, additionalProperties: { type: ["string", "null"] } },
        existingConfigMap: nameOrNone,
        mountPath,
      }),
      files,
      env,
      tls: whole({ mode: { enum: ["secret", "mesh"] }, serve: listenerTls, broker: listenerTls, clientCa: flag }),
      clusterDomain: name,
      ...{ serve: part, broker: part },
      service: whole({ annotations: labels }),
      serviceAccount: whole({ create: flag, name: nameOrNone, annotations: labels }),
      networkPolicy: whole({
        enabled: flag,
        ...{ dataPlane: kubernetesList, monitoring: kubernetesList, egress: kubernetesList },
      }),
      metrics: whole({ serviceMonitor: whole({ enabled: flag, interval, labels: otherLabels }) }),
      alerts: whole({ kind: { enum: ["ConfigMap", "PrometheusRule", "none"] }, labels: otherLabels }),
      dashboards: whole({ enabled: flag, labels: otherLabels }),
    }) as object),
  };
  return `${JSON.stringify(schema, null, 1)}\n`;
}
