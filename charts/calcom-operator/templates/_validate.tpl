{{/* What no schema can say: which values need or exclude each other. Every message names the value and the remedy. */}}
{{- define "calcom-operator.validate" -}}
{{- with .Values -}}
{{- if regexMatch "^[0-9]" (include "calcom-operator.name" $) -}}
{{- fail "fullnameOverride: the name of the release begins with a digit, as the name of no Service does; give another name here" -}}
{{- end -}}
{{- if and (gt (int .replicas) 1) (not .leaderElection.enabled) -}}
{{- fail "replicas: more than 1 without leaderElection.enabled would create users twice; set leaderElection.enabled to true, or replicas to 1" -}}
{{- end -}}
{{- if and (not .serviceAccount.create) (not .serviceAccount.name) -}}
{{- fail "serviceAccount.name: with serviceAccount.create off, give the name of the ServiceAccount to use" -}}
{{- end -}}
{{- if and .serviceMonitor.enabled (not .metrics.enabled) -}}
{{- fail "serviceMonitor.enabled: there are no metrics to scrape; set metrics.enabled to true" -}}
{{- end -}}
{{- if and .clusterOAuthClients .watchNamespaces .rbac.namespacedOnly -}}
{{- fail "clusterOAuthClients: ClusterOAuthClients take rights in the whole cluster; set it to false, or rbac.namespacedOnly to false" -}}
{{- end -}}
{{- if and .policies.enabled .policies.apiURLs.enabled (not .policies.apiURLs.prefixes) -}}
{{- fail "policies.apiURLs.prefixes: with an empty list no object could be created; name the servers, such as those of allowedAPIURLs, or set policies.apiURLs.enabled to false" -}}
{{- end -}}
{{- if and .policies.apiURLs.prefixes (not .policies.apiURLs.enabled) -}}
{{- fail "policies.apiURLs.enabled: the list in policies.apiURLs.prefixes is for nothing without it; set it to true, or empty the list" -}}
{{- end -}}
{{- if and .policies.enabled .policies.apiURLs.enabled -}}
{{- $common := false -}}
{{- range $url := .allowedAPIURLs }}{{ range $prefix := $.Values.policies.apiURLs.prefixes -}}
{{- if or (hasPrefix $prefix $url) (hasPrefix $url $prefix) }}{{ $common = true }}{{ end -}}
{{- end }}{{ end -}}
{{- if not $common -}}
{{- fail "policies.apiURLs.prefixes: it names no server of allowedAPIURLs, so no object could be created that the operator serves; name the same servers" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.rbac.namespacedOnly -}}
{{- include "calcom-operator.validateNamespacedOnly" . -}}
{{- end -}}
{{- end -}}

{{- define "calcom-operator.validateNamespacedOnly" -}}
{{- with .Values -}}
{{- if not .watchNamespaces -}}
{{- fail "watchNamespaces: rbac.namespacedOnly needs the names of the namespaces to work in" -}}
{{- end -}}
{{- if not .ownerID -}}
{{- fail "ownerID: without it the operator reads the namespace kube-system, for which rbac.namespacedOnly leaves no right; set ownerID, and never change it" -}}
{{- end -}}
{{- if .massDeleteLimit -}}
{{- fail "massDeleteLimit: it reads an annotation of namespaces, for which rbac.namespacedOnly leaves no right; set it to 0, or rbac.namespacedOnly to false" -}}
{{- end -}}
{{- if and .metrics.enabled .metrics.secure -}}
{{- fail "metrics.secure: asking the API server who reads the metrics takes rights in the cluster; with rbac.namespacedOnly set metrics.secure to false and a networkPolicy, or metrics.enabled to false" -}}
{{- end -}}
{{- if .crds.install -}}
{{- fail "crds.install: CRDs are not in a namespace; with rbac.namespacedOnly set it to false, and have an administrator apply them" -}}
{{- end -}}
{{- if .policies.enabled -}}
{{- fail "policies.enabled: admission policies are not in a namespace; with rbac.namespacedOnly set it to false, and have an administrator apply them" -}}
{{- end -}}
{{- end -}}
{{- end -}}
