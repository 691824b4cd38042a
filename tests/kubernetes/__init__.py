"""The Helm chart, rendered by Helm and compared with the schemas of Kubernetes, KEDA and the operator of Prometheus."""
