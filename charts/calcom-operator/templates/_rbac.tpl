{{/*
A role with its binding to the operator: dict "root" $, "suffix" of its name, "rules" a list of YAML lists, and "namespace" for a Role instead
of a ClusterRole. Rules of config/rbac are in files/rbac.
*/}}
{{- define "calcom-operator.role" -}}
{{- $name := printf "%s-%s" (include "calcom-operator.name" .root) .suffix }}
{{- $kind := ternary "Role" "ClusterRole" (hasKey . "namespace") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ $name }}
  {{- with .namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels: {{- include "calcom-operator.labels" .root | nindent 4 }}
rules:
  {{- range .rules }}
  {{- trim . | nindent 2 }}
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ $name }}
  {{- with .namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels: {{- include "calcom-operator.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $name }}
{{ include "calcom-operator.subjects" .root }}
{{- end -}}

{{/* For --owner-id, when it is not given. */}}
{{- define "calcom-operator.ownerRules" -}}
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [kube-system]
  verbs: [get]
{{- end -}}

{{/* A ClusterOAuthClient stays until no user refers to it, wherever that user is. */}}
{{- define "calcom-operator.dependentsRules" -}}
- apiGroups: [platform.cal.com]
  resources: [managedusers]
  verbs: [list]
{{- end -}}

{{/* The Secrets of ClusterOAuthClients: read, and marked as in use. Tokens are published elsewhere. */}}
{{- define "calcom-operator.clientSecretsRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, patch, watch]
{{- end -}}
