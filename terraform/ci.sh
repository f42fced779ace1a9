#!/usr/bin/env bash
# Checks the Terraform: format, validity, checkov, the modules' tests, and lakes that are made on
# emulators of AWS, planned again without a change, and destroyed.
#
#   terraform/ci.sh                  all of it
#   terraform/ci.sh -- COMMAND …     and runs COMMAND while the complete lake stands, with its settings
#                                    files in LAKE_SETTINGS_TOML and LAKE_SETTINGS_JSON
#
# Needs python3 3.11+ with venv, and terraform 1.9+, which is installed below CARGO_TARGET_DIR where there
# is none (ci/install.py). The emulators are those that AWS_ENDPOINT_URL (ministack) and
# MOTO_ENDPOINT_URL (moto) name; without them ../interop/aws starts its own. The provider comes from a
# file-system mirror (TF_PLUGIN_MIRROR, or one that lies in a usual place), else it is downloaded once.
# Nothing is written into the repository: all work is below CARGO_TARGET_DIR.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
emulators="$here/../interop/aws/emulators.py"

fail() {
    printf 'terraform: %s\n' "$1" >&2
    exit 1
}

python3 -c 'import tomllib, venv, ensurepip' 2>/dev/null || fail 'python3 is missing, too old or without venv: install 3.11 or newer (Debian: python3-venv)'
terraform="$(python3 "$here/ci/install.py")" || exit

if [ -z "${AWS_ENDPOINT_URL:-}" ] || [ -z "${MOTO_ENDPOINT_URL:-}" ]; then
    [ -f "$emulators" ] || fail 'no emulators: set AWS_ENDPOINT_URL (ministack) and MOTO_ENDPOINT_URL (moto)'
    python3 "$emulators" install >/dev/null
    exec python3 "$emulators" run -- "${BASH_SOURCE[0]}" "$@"
fi
# A lake made by mistake in a real account would cost money.
for url in "$AWS_ENDPOINT_URL" "$MOTO_ENDPOINT_URL"; do
    case "$url" in
    http://127.0.0.1:* | http://localhost:*) ;;
    *) fail "not an emulator on this machine: $url" ;;
    esac
done

command=()
if (($# > 0)); then
    [ "$1" = -- ] || fail 'usage: terraform/ci.sh [-- COMMAND …]'
    command=("${@:2}")
fi

target="$(realpath -m "${CARGO_TARGET_DIR:-$here/../target}")"
mkdir -p "$target"
# Of runs that were killed.
find "$target" -maxdepth 1 -name 'terraform-run.*' -mmin +120 -exec rm -rf {} +
run="$(mktemp -d "$target/terraform-run.XXXXXX")"

# What runs beside us runs in groups of its own, and ends with us.
beside=()
leave() {
    local group
    for group in "${beside[@]}"; do
        kill -TERM -- "-$group" 2>/dev/null || true
    done
    wait
    rm -rf "$run"
}
trap leave EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT

# A configuration file that is named and not there makes every command warn.
[ -f "${TF_CLI_CONFIG_FILE:-}" ] || unset TF_CLI_CONFIG_FILE
unset TF_DATA_DIR TF_WORKSPACE TF_CLI_ARGS TF_REATTACH_PROVIDERS TF_PLUGIN_CACHE_DIR
export TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_EC2_METADATA_DISABLED=true
export AWS_REGION="${AWS_REGION:-eu-central-1}"
# Else what an emulator does not know is asked for again for minutes.
export AWS_MAX_ATTEMPTS=2

# Nothing here takes minutes; what does, hangs.
tf() { timeout --foreground --kill-after=60 900 "$terraform" "$@"; }

mirror() {
    local folder
    # A configuration file says itself where providers come from.
    [ -n "${TF_PLUGIN_MIRROR:-}" ] || [ -z "${TF_CLI_CONFIG_FILE:-}" ] || return 0
    for folder in "${TF_PLUGIN_MIRROR:-}" /opt/* /usr/local/share/terraform/* /usr/share/terraform/* "$HOME"/.terraform.d/*; do
        if [ -n "$folder" ] && [ -d "$folder/registry.terraform.io/hashicorp/aws" ]; then
            printf '%s' "$folder"
            return
        fi
    done
}
init=(tf init -no-color -backend=false)
plugins="$(mirror)"
downloads=''
source='the configuration file'
if [ -n "${TF_PLUGIN_MIRROR:-}" ] && [ "$plugins" != "$TF_PLUGIN_MIRROR" ]; then
    fail "TF_PLUGIN_MIRROR names no mirror: $TF_PLUGIN_MIRROR/registry.terraform.io/hashicorp/aws is missing"
elif [ -n "$plugins" ]; then
    init+=("-plugin-dir=$plugins")
    source='a mirror'
elif [ -z "${TF_CLI_CONFIG_FILE:-}" ]; then
    # What one `init` has put into the cache is a mirror for the others, which would fill it all at once.
    downloads="$target/terraform-plugins"
    init+=("-plugin-dir=$downloads")
    source='the registry'
fi

# step NAME COMMAND …: runs it; prints how long it took, and what it said if it failed. Bash does not
# end such a command at its first error (`set -e`), so each says itself what is one.
step() {
    local name="$1" log started=$SECONDS
    log="$(mktemp "$run/log.XXXXXX")"
    last_log="$log"
    shift
    if "$@" >"$log" 2>&1 </dev/null; then
        printf '  ok      %-46s %4d s%s\n' "$name" $((SECONDS - started)) "$(told "$log")"
        printf 'passed\n' >>"$run/outcomes"
    else
        printf '  FAILED  %-46s %4d s\n' "$name" $((SECONDS - started))
        tail -n 60 "$log" | sed 's/^/          /'
        printf 'failed\n' >>"$run/outcomes"
        return 1
    fi
}

# What is worth telling of a step that passed.
told() {
    sed -n -E 's/^Success! ([0-9]+ passed), 0 failed\.$/  \1/p; s/^(Apply|Destroy) complete! Resources: (.*)\.$/  \2/p; s/^(Passed checks: .*)$/  \1/p; s/^(no drift.*|released .*)$/  \1/p' "$1" | tail -n 1
}

# Lines of the last step's log, for those who read what CI has done.
show() {
    [ -z "${CI:-}" ] || sed -n -E "s/ \[id=.*//; $1" "$last_log" | sed 's/^/          /'
}

copy() {
    mkdir -p "$1"
    cp -R "$here/modules" "$here/examples" "$1/"
    find "$1" \( -name .terraform -o -name '.terraform.lock.hcl' -o -name '*.tfstate*' -o -name '*.auto.tfvars' -o -name terraform.tfvars \) -prune -exec rm -rf {} +
}

# Into the cache, unless it has what is asked for.
downloaded() {
    (cd "$1" && { "${init[@]}" || TF_PLUGIN_CACHE_DIR="$downloads" tf init -no-color -backend=false; })
}

# Checks share one provider, by the way that Terraform has for debuggers: most of their time it was being
# started, several times for each plan of a test. Lakes start it as their users do.
reattach=''
attached() {
    local program
    (cd "$1" && "${init[@]}") || return 1
    program=("$1"/.terraform/providers/registry.terraform.io/hashicorp/aws/*/*/terraform-provider-aws*)
    set -m
    "${program[0]}" -debug >"$run/provider" 2>&1 </dev/null &
    beside+=($!)
    set +m
    for _ in {1..600}; do
        reattach="$(sed -n "s/.*TF_REATTACH_PROVIDERS='\(.*\)'.*/\1/p" "$run/provider")"
        [ -z "$reattach" ] || return 0
        kill -0 "${beside[-1]}" || break
        sleep 0.1
    done
    cat "$run/provider"
    return 1
}

# `init` looks whether the provider is one of those that the folder takes.
valid() { (cd "$1" && "${init[@]}" && TF_REATTACH_PROVIDERS="$reattach" tf validate -no-color); }

tests() {
    local log
    log="$(cd "$1" && TF_REATTACH_PROVIDERS="$reattach" tf test -no-color)" || { printf '%s\n' "$log"; return 1; }
    printf '%s\n' "$log"
    # A module without tests would pass, too.
    grep -qE '^Success! [1-9][0-9]* passed, 0 failed\.$' <<<"$log"
}

scan() {
    local venv="$target/interop-checkov-venv" wanted="$here/ci/requirements.txt"
    if ! cmp -s "$wanted" "$venv/requirements.installed"; then
        python3 -m venv --clear "$venv" &&
            "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" &&
            cp "$wanted" "$venv/requirements.installed" || return 1
    fi
    (cd "$run/checks" && env -u AWS_ENDPOINT_URL BC_DISABLE_NETWORK=1 "$venv/bin/checkov" \
        -d . --framework terraform --compact --quiet --skip-download)
}

apply() { (cd "$1" && "${init[@]}" >/dev/null && tf apply -no-color -auto-approve -parallelism=24 "${@:2}"); }

settings() {
    (cd "$1" && tf output -no-color -raw settings_toml >"$run/$2.toml" &&
        tf output -no-color -raw settings_json >"$run/$2.json") || return 1
    python3 "$here/ci/settings.py" "$run/$2.toml" "$run/$2.json"
}

# $2 says whether what emulators lose is lost here.
steady() {
    local folder="$1" known="$2" code=0
    shift 2
    (cd "$folder" && tf plan -no-color -detailed-exitcode -out=again.tfplan "$@") || code=$?
    if ((code != 1)) && [ "$known" = lossy ]; then
        (cd "$folder" && tf show -json again.tfplan) >"$folder/again.json" || return 1
        python3 "$here/ci/drift.py" "$folder/again.json"
    else
        return "$code"
    fi
}

# The provider revokes a grant until AWS says that it is gone, which moto never does: the grants have
# been read back by the plan before, and are let go here.
release() {
    local grants
    mapfile -t grants < <(cd "$1" && tf state list | grep aws_lakeformation_permissions)
    ((${#grants[@]} > 0)) || return 1
    (cd "$1" && tf state rm "${grants[@]}") || return 1
    printf 'released %d grants, which moto does not revoke\n' "${#grants[@]}"
}

# Settings that somebody has opened to all since must be noticed: the provider by itself sees no change.
noticed() {
    local said variables=('-var=name=open' '-var=admins=["arn:aws:iam::123456789012:role/deploy"]' '-var=data_key_arn=unused')
    apply "$1" "${variables[@]}" || return 1
    python3 "$here/ci/open_tables.py" "$MOTO_ENDPOINT_URL" 123456789012 || return 1
    ! said="$(cd "$1" && tf plan -no-color "${variables[@]}" 2>&1)" || { printf 'no failure\n%s\n' "$said"; return 1; }
    printf '%s\n' "$said"
    grep -q 'Somebody has opened new databases' <<<"$said"
}

destroy() {
    (cd "$1" && tf destroy -no-color -auto-approve -parallelism=24 "${@:2}") &&
        [ -z "$(cd "$1" && tf state list)" ]
}

with_lake() {
    LAKE_SETTINGS_TOML="$run/complete.toml" LAKE_SETTINGS_JSON="$run/complete.json" "${command[@]}"
}

# The rest of a lake's steps mean nothing after one that failed.
complete() {
    local folder="$run/complete/examples/complete" values="-var-file=$here/ci/emulated.tfvars"
    # One service is one emulator: moto knows Lake Formation, and keeps alarms as they are.
    export AWS_ENDPOINT_URL_LAKEFORMATION="$MOTO_ENDPOINT_URL" AWS_ENDPOINT_URL_CLOUDWATCH="$MOTO_ENDPOINT_URL"
    step 'complete: apply on ministack and moto' apply "$folder" "$values" || return 0
    show '/: Creation complete/p'
    step 'complete: settings file' settings "$folder" complete || return 0
    if ((${#command[@]} > 0)); then
        step 'complete: in use' with_lake || return 0
        show p
    fi
    step 'complete: plan again' steady "$folder" lossy "$values" || return 0
    step 'complete: grants' release "$folder" || return 0
    step 'complete: destroy' destroy "$folder" "$values" || return 0
    show '/: Destruction complete/p'
}

minimal() {
    # In a region of its own, since its databases have the names of the complete lake's.
    local folder="$run/minimal/examples/minimal" variables=('-var=name=least' '-var=region=eu-west-1')
    step 'minimal: apply on ministack' apply "$folder" "${variables[@]}" || return 0
    step 'minimal: settings file' settings "$folder" minimal || return 0
    step 'minimal: plan again' steady "$folder" exact "${variables[@]}" || return 0
    step 'minimal: destroy' destroy "$folder" "${variables[@]}" || return 0
}

# What ministack lacks of the module catalog.
encrypted() {
    local folder="$run/encrypted/modules/catalog"
    local variables=(
        '-var=name=sealed'
        '-var=databases={sealed={location="s3://sealed/tables/"}}'
        '-var=encryption={kms_key_arn="arn:aws:kms:eu-central-1:123456789012:key/0f0f0f0f-0000-4000-8000-000000000000"}'
    )
    export AWS_ENDPOINT_URL="$MOTO_ENDPOINT_URL"
    step 'catalog: apply with encryption on moto' apply "$folder" "${variables[@]}" || return 0
    step 'catalog: plan again' steady "$folder" exact "${variables[@]}" || return 0
    step 'catalog: destroy' destroy "$folder" "${variables[@]}" || return 0
}

# Settings of an account of their own: moto's, while the complete lake is in ministack's.
opened() {
    export AWS_ENDPOINT_URL="$MOTO_ENDPOINT_URL"
    step 'governance: settings opened by hand, on moto' noticed "$run/opened/modules/governance" || true
}

: >"$run/outcomes"
for lake in checks complete minimal encrypted opened; do
    copy "$run/$lake"
done
printf 'terraform: %s, provider from %s\n' "$("$terraform" version | head -n 1)" "$source"
if [ -n "$downloads" ]; then
    mkdir -p "$downloads"
    step 'provider: downloaded' downloaded "$run/checks/examples/complete" || exit 1
fi

# Lakes wait for their emulators most of the time; the checks go on beside them.
set -m
for lake in complete minimal encrypted opened; do
    ("$lake") >"$run/$lake.told" 2>&1 &
    beside+=($!)
done
set +m
lakes=("${beside[@]}")

step 'format' "$terraform" fmt -check -diff -recursive "$here" || true
step 'checkov' scan || true
for folder in "$here"/modules/*; do
    [ -d "$folder/tests" ] || fail "${folder##*/} has no tests"
done
step 'READMEs' python3 "$here/ci/readme.py" --check || true
step 'installation of terraform' python3 "$here/ci/check_install.py" || true
step 'provider of the checks' attached "$run/checks/examples/complete" || true
for folder in "$run"/checks/modules/* "$run"/checks/examples/*; do
    name="${folder##*/}"
    step "$name: valid" valid "$folder" || continue
    if [ -d "$folder/tests" ]; then step "$name: tests" tests "$folder" || true; fi
done

for lake in "${lakes[@]}"; do
    wait "$lake" || printf 'failed\n' >>"$run/outcomes"
done
beside=("${beside[@]:${#lakes[@]}}")
cat "$run/complete.told" "$run/minimal.told" "$run/encrypted.told" "$run/opened.told"

passed="$(grep -c passed "$run/outcomes" || true)"
failed="$(grep -c failed "$run/outcomes" || true)"
printf 'terraform: %d s\n%d passed, %d failed\n' "$SECONDS" "$passed" "$failed"
((failed == 0))
