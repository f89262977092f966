#!/usr/bin/env bash
# bench.sh - what a sample costs in rwrelay, and in vmagent beside it
# SPDX-License-Identifier: Apache-2.0
#
#	PEERS=DIR tests/bench/bench.sh [OPTION=VALUE ...]
#
# Remote write 1.0 in and out, snappy, 2000 samples a request, a healthy
# upstream that checks every sample. The two take turns, so that what else the
# machine does strikes both. A run ends when everything that was acknowledged
# has been delivered; its figures are samples for each second of the process'
# own CPU time (user and system), samples a second, and peak memory.
#
#	rounds=3	turns of each
#	seconds=8	of load in a turn
#	edges=1 series=100000 connections=4	series, connections: of each edge
#	rate=0		samples a second; 0: as fast as they are answered
#	in=1.0 out=1.0	protocols (rwrelay alone can be given 2.0)
#	only=		rwrelay or vmagent
#
# RW_BUILD is where rwrelay was built (here otherwise); PEERS the directory
# under which usr/bin/vmagent is. Without it rwrelay runs alone. Where there are
# two cores, the relay has the second for itself.
set -u
export LC_ALL=C
build=${RW_BUILD:-$PWD}
tools=$build/tests/tools
vmagent=${PEERS:-}/usr/bin/vmagent
rounds=3 seconds=8 edges=1 series=100000 connections=4 rate=0
in=1.0 out=1.0 only=
for option; do
	case $option in
	rounds=* | seconds=* | edges=* | series=* | connections=* | rate=* | in=* | out=* | only=*)
		declare "$option" ;;
	*) echo "bench.sh: no such option: $option" >&2; exit 2 ;;
	esac
done

run=$(mktemp -d)
pids=
finish() {
	local pid

	for pid in $pids; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	pids=
}
trap 'finish; rm -rf "$run"' EXIT
trap 'exit 130' INT TERM

die() {
	echo "bench.sh: $*" >&2
	tail -n 5 "$run"/*.out >&2
	exit 1
}

if [ "$(nproc)" -ge 2 ] && taskset -c 1 true 2>/dev/null; then
	here="taskset -c 0" there="taskset -c 1"
else
	here= there=
fi

# port - a loopback port that nobody listens on
port() {
	while :; do
		REPLY=$((10000 + RANDOM % 20000))
		(exec 3<>"/dev/tcp/127.0.0.1/$REPLY") 2>/dev/null || return
	done
}

# fetch PORT PATH
fetch() {
	exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
	printf 'GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n' "$2" >&3
	cat <&3
	exec 3<&-
}

# value KEY - out of key=value words on stdin
value() { tr ' ' '\n' | sed -n "s/^$1=//p"; }

cpu_ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
peak_kb() { awk '$1 == "VmHWM:" { print $2 }' "/proc/$1/status"; }

start_rwrelay() {
	cat >"$run/conf" <<-END
		user = root
		listen edge {
			address = "127.0.0.1:$1"
		}
		admin {
			address = "127.0.0.1:$3"
		}
		spool {
			directory = "$run/spool"
		}
		upstream sink {
			url = "http://127.0.0.1:$2/api/v1/write"
			protocol = "$out"
		}
	END
	mkdir "$run/spool"
	$there "$build/rwrelay" -f "$run/conf" >"$run/relay.out" 2>&1 &
}

start_vmagent() {
	$there "$vmagent" -httpListenAddr="127.0.0.1:$1" \
		-remoteWrite.url="http://127.0.0.1:$2/api/v1/write" \
		-remoteWrite.tmpDataPath="$run/spool" -remoteWrite.forcePromProto \
		-promscrape.maxScrapeSize=1 >"$run/relay.out" 2>&1 &
}

# turn NAME - one run; prints its line, appends its figures to NAME.figures
turn() {
	local relay_port sink_port admin_port relay acked got before i ticks elapsed

	rm -rf "$run/spool" "$run"/*.out	# of the turn before
	port; relay_port=$REPLY
	port; admin_port=$REPLY
	$here "$tools/rwsink" --summary "$run/sum" >"$run/sink.out" 2>&1 &
	pids="$! $pids"
	for i in $(seq 100); do
		sink_port=$(value listen 2>/dev/null <"$run/sink.out")
		[ -n "$sink_port" ] && break
		sleep 0.05
	done
	"start_$1" "$relay_port" "$sink_port" "$admin_port"
	relay=$!
	pids="$relay $pids"
	for i in $(seq 200); do
		(exec 3<>"/dev/tcp/127.0.0.1/$relay_port") 2>/dev/null && break
		sleep 0.05
	done
	before=$(date +%s.%N)
	$here "$tools/rwload" --url "http://127.0.0.1:$relay_port/api/v1/write" \
		--edges "$edges" --series "$series" --connections "$connections" \
		--protocol "$in" --duration "$seconds" --rate "$rate" \
		>"$run/load.out" 2>&1 || die "$1: the load was refused"
	acked=$(value acked <"$run/load.out")
	for i in $(seq 600); do
		got=$(fetch "$sink_port" /summary | value samples)
		[ "${got:-0}" -ge "$acked" ] && break
		sleep 0.1
	done
	[ "${got:-0}" -ge "$acked" ] || die "$1: $got of $acked samples delivered"
	elapsed=$(awk -v a="$before" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
	ticks=$(cpu_ticks "$relay")
	awk -v name="$1" -v n="$acked" -v ticks="$ticks" -v hz="$(getconf CLK_TCK)" \
		-v s="$elapsed" -v kb="$(peak_kb "$relay")" \
		-v p99="$(value p99_ms <"$run/load.out")" \
		-v bytes="$(fetch "$sink_port" /summary | value bytes)" \
		-v figures="$run/$1.figures" 'BEGIN {
			per = n * hz / ticks
			print per, kb >> figures
			printf "%-8s %10.0f samples/CPU-s %10.0f samples/s  ", name, per, n / s
			printf "%7.1f MB peak  p99 %6.1f ms  %5.1f B/sample out\n",
			    kb / 1024, p99, bytes / n
		}'
	finish
}

# median NAME COLUMN
median() {
	awk -v c="$2" '{ print $c }' "$run/$1.figures" | sort -n |
		awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

names=rwrelay
if [ -n "${PEERS:-}" ]; then
	[ -x "$vmagent" ] || die "there is no $vmagent"
	names="rwrelay vmagent"
fi
[ -n "$only" ] && names=$only
echo "$edges edges of $series series on $connections connections each, $in in, $out out, $seconds s"
for _ in $(seq "$rounds"); do
	for name in $names; do
		turn "$name"
	done
done
for name in $names; do
	printf 'median %-8s %10.0f samples/CPU-s %7.1f MB peak\n' "$name" \
		"$(median "$name" 1)" "$(awk -v kb="$(median "$name" 2)" 'BEGIN { print kb / 1024 }')"
done
if [ "$names" = "rwrelay vmagent" ]; then
	awk -v a="$(median rwrelay 1)" -v b="$(median vmagent 1)" \
		-v c="$(median rwrelay 2)" -v d="$(median vmagent 2)" 'BEGIN {
			printf "rwrelay / vmagent: %.2f times the samples per CPU second, ", a / b
			printf "%.2f times the memory\n", c / d
		}'
fi
