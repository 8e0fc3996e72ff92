# Functions for the setups of pages.

# secret [KEY] creates the Secret of the samples.
secret() {
	kubectl create secret generic calcom --from-literal=secretKey="${1-$CAL_SECRET_KEY}"
}

# user NAME [FIELD…] applies a user with further fields of the spec, as 'bio: "x"'. CLIENT is the id of its OAuth client.
user() {
	local name=$1 field
	shift
	{
		printf '%s\n' 'apiVersion: platform.cal.com/v1alpha1' 'kind: ManagedUser' "metadata: {name: $name}" 'spec:'
		if [[ "$*" != *oauthClientRef* ]]; then
			echo "  oauthClient: {id: ${CLIENT-cltestclient0000000000001}, secretKeyRef: {name: calcom, key: secretKey}${APIURL:+, apiURL: \"$APIURL\"}}"
		fi
		[[ "$*" == *'email:'* ]] || echo "  email: $name@example.com"
		echo "  name: ${name^}"
		for field in "$@"; do
			echo "  $field"
		done
	} | kubectl apply -f -
}

# edit NAME SPEC changes fields of a user's spec, as '{"bio":"x"}'.
edit() {
	kubectl patch managedusers "$1" --type=merge --patch="{\"spec\":$2}"
}

# reason NAME REASON waits until Ready has this reason.
reason() {
	kubectl wait "managedusers/$1" --timeout=30s \
		--for=jsonpath='{.status.conditions[?(@.type=="Ready")].reason}'="$2" || {
		kubectl get managedusers -o wide
		return 1
	}
}

unset -f grep # Here it has to find something.

# eventually COMMAND repeats a command until it succeeds.
eventually() {
	local i said
	for i in {1..150}; do
		! said=$(eval "$1" 2>&1) || return 0
		kubectl get --raw /readyz >/dev/null # Takes a moment.
	done
	echo "in vain: $1: $said"
	return 1
}

# prometheus_operator makes the kinds of the Prometheus operator that this project has objects of, without their schemas.
prometheus_operator() {
	local kind
	for kind in PrometheusRule ServiceMonitor; do
		kubectl apply -f - <<-END
			apiVersion: apiextensions.k8s.io/v1
			kind: CustomResourceDefinition
			metadata: {name: ${kind,,}s.monitoring.coreos.com}
			spec:
			  group: monitoring.coreos.com
			  scope: Namespaced
			  names: {kind: $kind, plural: ${kind,,}s, singular: ${kind,,}}
			  versions:
			    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
		END
		kubectl wait --for=condition=Established "crd/${kind,,}s.monitoring.coreos.com" --timeout=30s
	done
}
