// Validates custom resources, one JSON document a line on stdin, against the models of KEDA and the operator of Prometheus.
// Prints a line for each that is not valid; exit 1 if there is one.
import { createInterface } from "node:readline";
import { PrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";

const models = { PrometheusRule, ServiceMonitor, ScaledObject };
for await (const line of createInterface({ input: process.stdin })) {
  const document = JSON.parse(line);
  try {
    new models[document.kind](document).validate();
  } catch (error) {
    console.log(`${document.kind} ${document.metadata.name}: ${error.message}`);
    process.exitCode = 1;
  }
}
