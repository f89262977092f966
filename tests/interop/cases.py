# cases.py - relabel rules with a series each, chosen and generated
# SPDX-License-Identifier: Apache-2.0
#
# A case is (name, rules, labels, only3): only3 where Prometheus 2 does not take
# the names. The generated ones are the same each time.

import collections

Rule = collections.namedtuple("Rule", "action source separator regex modulus target replacement")
Case = collections.namedtuple("Case", "name rules labels only3")

NODE = {"__name__": "node_cpu_seconds_total", "cpu": "0", "mode": "idle",
        "instance": "web-1.example:9100", "job": "node"}
ODD = {"__name__": "odd", "a": "one", "b": "two\nlines", "c": "Grüße ÄÖÜ ß", "d": "$1 x",
       "e": "a;b;c", "Z": "last?"}


def rule(action="replace", source=(), separator=";", regex="(.*)", modulus=0, target="",
         replacement="$1"):
    return Rule(action, tuple(source), separator, regex, modulus, target, replacement)


def chosen():
    """(name, rules, labels) of what somebody may think of."""
    r = rule
    yield "no match", [r(source=["job"], regex="x", target="a", replacement="b")], NODE
    yield "usual", [r(source=["job"], target="copy")], NODE
    yield "part", [r(source=["instance"], regex="(.+):(\\d+)", target="host")], NODE
    yield "two groups", [r(source=["instance"], regex="(.+):(\\d+)", target="host",
                           replacement="$2/$1")], NODE
    yield "anchored", [r(source=["job"], regex="nod", target="a", replacement="b")], NODE
    yield "alternatives", [r(source=["job"], regex="a|node", target="a", replacement="b")], NODE
    yield "alternatives, longer", [r(source=["job"], regex="no|node", target="a",
                                     replacement="b")], NODE
    yield "several sources", [r(source=["job", "cpu", "mode"], target="all")], NODE
    yield "a source that is not", [r(source=["job", "none", "mode"], target="all")], NODE
    yield "separator", [r(source=["job", "mode"], separator=" - ", target="all")], NODE
    yield "no separator", [r(source=["job", "mode"], separator="", target="all")], NODE
    yield "no source", [r(target="fixed", replacement="value")], NODE
    yield "no source, a dollar", [r(target="fixed", replacement="v$1")], NODE
    yield "no source, no match", [r(target="fixed", regex=".+", replacement="v")], NODE
    yield "empty removes", [r(source=["none"], target="cpu")], NODE
    yield "empty replacement", [r(source=["job"], target="cpu", replacement="")], NODE
    yield "the name", [r(source=["__name__"], regex="node_(.*)", target="__name__")], NODE
    yield "the name away", [r(target="__name__", replacement="")], NODE
    yield "a target of groups", [r(source=["mode", "cpu"], regex="(.*);(.*)",
                                   target="mode_${1}_$2", replacement="$2")], NODE
    yield "a target that comes out empty", [r(source=["none"], target="${1}",
                                              replacement="x")], NODE
    yield "a target that is there", [r(source=["mode"], regex="(i)dle", target="job",
                                       replacement="$1$1")], NODE
    for text in ("$0", "${0}", "$1", "${1}x", "$1x", "$2", "$10", "$01", "${01}", "$$", "$$1",
                 "$", "x$", "${", "${1", "${}", "$-", "$ 1", "${1}${1}", "a$1b$1c", "$100000000",
                 "$word", "${word}", "$words", "${word}s", "$other", "${1}$", "$é", "%s", "\\1",
                 "$_", "$1$$2", "$1_"):
        yield "expand " + text, [r(source=["mode"], regex="(?P<word>i.)(le)", target="got",
                                   replacement=text)], NODE
    yield "a group that took no part", [r(source=["mode"], regex="(x)?idle(y)?", target="got",
                                          replacement="<$1$2>")], NODE
    yield "a group again and again", [r(source=["mode"], regex="(?:([a-z]))+", target="got")], NODE
    yield "groups within groups", [r(source=["instance"], regex="((w)eb)-(\\d)(.*)", target="got",
                                     replacement="$1,$2,$3,$4")], NODE
    yield "not greedy", [r(source=["instance"], regex="(.*?)e(.*)", target="got",
                           replacement="$1|$2")], NODE
    yield "greedy", [r(source=["instance"], regex="(.*)e(.*)", target="got",
                       replacement="$1|$2")], NODE
    yield "any case", [r(source=["job"], regex="(?i)(NODE)", target="got")], NODE
    yield "any case, umlauts", [r(source=["c"], regex="(?i)(grÜSSE|GRÜßE) .*", target="got")], ODD
    yield "a dot and a newline", [r(source=["b"], regex="two.lines", target="got",
                                    replacement="yes")], ODD
    yield "any and a newline", [r(source=["b"], target="got")], ODD
    yield "a dot that is none", [r(source=["b"], regex="(?-s:two.lines)", target="got",
                                   replacement="yes")], ODD
    yield "lines", [r(source=["b"], regex="(?m)two$\\n^(.*)", target="got")], ODD
    yield "an end", [r(source=["job"], regex="^node$", target="got", replacement="yes")], NODE
    yield "blanks", [r(source=["c"], regex="(\\S+)\\s(\\S+)\\s(\\S+)", target="got",
                       replacement="$3$2$1")], ODD
    yield "a letter of any script", [r(source=["c"], regex="(\\pL+).*", target="got")], ODD
    yield "a word is ASCII", [r(source=["c"], regex="(\\w+).*", target="got")], ODD
    yield "a quoted text", [r(source=["d"], regex="\\Q$1 x\\E", target="got",
                              replacement="yes")], ODD
    yield "a dollar in a value", [r(source=["d"], target="got")], ODD
    yield "a class", [r(source=["instance"], regex="[[:alpha:]]+-[0-9]\\.[^:]+:.*", target="got",
                        replacement="yes")], NODE
    yield "counts", [r(source=["instance"], regex=".{3}-.{1,2}(.{2,}):\\d{4}", target="got")], NODE
    yield "an empty expression", [r(source=["none"], regex="", target="got",
                                    replacement="yes")], NODE
    yield "an empty expression and a value", [r(source=["job"], regex="", target="got",
                                                replacement="yes")], NODE
    yield "keep", [r("keep", ["job"], regex="node|api")], NODE
    yield "keep not", [r("keep", ["job"], regex="nod")], NODE
    yield "keep what is not", [r("keep", ["none"], regex="")], NODE
    yield "drop", [r("drop", ["__name__"], regex="node_.*")], NODE
    yield "drop not", [r("drop", ["__name__"], regex="node_")], NODE
    yield "drop all", [r("drop")], NODE
    yield "keep all", [r("keep")], NODE
    yield "keepequal", [r("keepequal", ["cpu"], target="also")], dict(NODE, also="0")
    yield "keepequal not", [r("keepequal", ["cpu"], target="also")], dict(NODE, also="1")
    yield "keepequal of none", [r("keepequal", ["no"], target="none")], NODE
    yield "keepequal of two", [r("keepequal", ["cpu", "mode"], target="also")], \
        dict(NODE, also="0;idle")
    yield "dropequal", [r("dropequal", ["cpu"], target="also")], dict(NODE, also="0")
    yield "dropequal not", [r("dropequal", ["cpu"], target="also")], dict(NODE, also="1")
    yield "dropequal of none", [r("dropequal", ["no"], target="none")], NODE
    for modulus in (1, 2, 7, 1000, 2 ** 32, 2 ** 63 - 1):
        yield "hashmod %d" % modulus, [r("hashmod", ["instance", "job"], modulus=modulus,
                                         target="shard")], NODE
    yield "hashmod of nothing", [r("hashmod", ["none"], modulus=1000000, target="shard")], NODE
    yield "hashmod, then keep", [r("hashmod", ["instance"], modulus=3, target="__tmp"),
                                 r("keep", ["__tmp"], regex="0"),
                                 r("labeldrop", regex="__tmp")], NODE
    yield "lowercase", [r("lowercase", ["Z", "c"], target="got")], ODD
    yield "uppercase", [r("uppercase", ["a", "c"], target="got")], ODD
    yield "uppercase of none", [r("uppercase", ["none"], target="a")], ODD
    for action, text in (("lowercase", "ÀÉÎ ΑΒΓΣ АБВ Ⅷ Ⓐ Ǆ Ǆǅ ẞ İ K Å Ⱥ Ω 𐐀 ABCŸ"),
                         ("uppercase", "àéî αβγςσ абв ⅷ ⓐ ǆ ǅ ß ı ſ µ ÿ ⱥ ŉ 𐐨 ﬁ abc")):
        yield action + " of scripts", [r(action, ["text"], target="text")], dict(NODE, text=text)
    yield "labelmap", [r("labelmap", regex="(c.*|mode)", replacement="x_$1")], NODE
    yield "labelmap on itself", [r("labelmap", regex="(.*)")], NODE
    yield "labelmap to one", [r("labelmap", regex="(cpu|job|mode)", replacement="one")], NODE
    yield "labelmap to one that is there", [r("labelmap", regex="(mode|job)",
                                              replacement="cpu")], NODE
    yield "labelmap around", [r("labelmap", regex="(a)", replacement="b"),
                              r("labelmap", regex="(b)", replacement="a")], ODD
    yield "labelmap after a set", [r(target="cpu", replacement="9"),
                                   r("labelmap", regex="(cpu|job|mode)", replacement="one")], NODE
    yield "labelmap after a new one", [r(target="a", replacement="9"),
                                       r("labelmap", regex="(a|cpu|job)", replacement="one")], NODE
    yield "labelmap after two", [r(target="b", replacement="8"), r(target="a", replacement="9"),
                                 r("labelmap", regex="(a|b|cpu)", replacement="one")], NODE
    yield "labelmap after one gone and back", [
        r(target="b", replacement="8"), r(target="a", replacement="9"),
        r(target="b", replacement=""), r(target="b", replacement="7"),
        r("labelmap", regex="(a|b|cpu)", replacement="one")], NODE
    yield "labelmap changes what it goes through", [
        r("labelmap", regex="(?:cpu|(job))", replacement="mode"),
        r("labelmap", regex="mode", replacement="last")], NODE
    yield "labelmap of the name", [r("labelmap", regex="__name__", replacement="metric")], NODE
    yield "labeldrop", [r("labeldrop", regex="cpu|mode")], NODE
    yield "labeldrop part", [r("labeldrop", regex="c")], NODE
    yield "labeldrop all", [r("labeldrop", regex=".*")], NODE
    yield "labeldrop, then set", [r("labeldrop", regex="cpu"),
                                  r(target="cpu", replacement="7")], NODE
    yield "labelkeep", [r("labelkeep", regex="__name__|job")], NODE
    yield "labelkeep none", [r("labelkeep", regex="none")], NODE
    yield "labelkeep, then map", [r("labelkeep", regex="__name__|job|cpu"),
                                  r("labelmap", regex="job", replacement="x")], NODE
    yield "one after the other", [r(source=["job"], target="a"), r(source=["a"], target="b"),
                                  r(source=["b"], target="c", replacement="$1$1"),
                                  r("labeldrop", regex="a|b")], NODE
    yield "after the end", [r("drop", ["job"], regex="node"),
                            r(target="a", replacement="b")], NODE


def chosen3():
    r = rule
    dots = {"__name__": "http.requests", "status.code": "200", "größe": "5"}
    yield "dots in names", [r(source=["status.code"], target="http.status")], dots
    yield "umlauts in names", [r("labelmap", regex="gr(.*)", replacement="neu.$1")], dots
    yield "a target of any text", [r(source=["größe"], target="a b $1", replacement="x")], dots
    yield "dots kept", [r("labelkeep", regex=".*\\..*|__name__")], dots


class Dice:
    """Numbers that nobody's library changes (Knuth's MMIX)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        return (self.state >> 33) % n

    def one(self, things):
        return things[self.below(len(things))]

    def some(self, things, most):
        return [self.one(things) for _ in range(self.below(most + 1))]


NAMES = ["a", "b", "c", "d", "ab", "job", "instance", "__name__", "__tmp_x", "A_b"]
VALUES = ["x", "y", "xy", "x;y", "aXb", "10.0.0.1:9100", "10.0.0.2:80", "eu-west-1a", "7",
          "a b  c", "x\ny", "äÖü", "日本語", "$1", "${a}", "\\d", "it's", "say \"x\"", "0"]
REGEXES = ["(.*)", "(.+)", "x", "(x|y)+", "(x)(y)?.*", "([^:]+):(\\d+)", "(\\w+)-(\\w+)-(\\d)(.)",
           "(?i)(AXB)|.*", ".*;(.*)", "(?P<first>.)(?P<rest>.*)", "", ".", "[a-z]*", "\\d+",
           "(?:(a)|(b)|(c))+", "(.*?)([0-9]*)", "(\\p{L}*).*", "x?y?z?", "(.)(.)?(.)?.*"]
BY_NAME = ["(.*)", "a|b", "(a)(b)?", "[a-c]", "__(.*)", "(?i)a_?b", "job|instance", "(.)", "x",
           "([a-z]+)", "__name__|a|job", "(?P<first>[a-d])b?"]
TEXTS = ["$1", "$2$1", "${1}-${2}", "fixed", "", "$0", "[$1]", "${first}", "$rest", "$1_$2", "$$1",
         "${2}", "a$1"]
TARGETS = ["a", "b", "c", "new", "job", "__tmp_x", "__name__", "p_$1", "${first}x", "$1"]
TO_NAMES = ["x_$1", "$1", "one", "${1}b", "a", "copy_$0", "$2x"]


def generated_rule(dice):
    action = dice.one(["replace"] * 6 + ["keep", "drop", "keepequal", "dropequal", "hashmod",
                                         "lowercase", "uppercase"] + ["labelmap"] * 3 +
                      ["labeldrop", "labelkeep"])
    source = dice.some(NAMES, 3)
    plain = [t for t in TARGETS if "$" not in t]
    if action == "replace":
        return rule(action, source, dice.one([";", ";", "", ":", "--"]), dice.one(REGEXES), 0,
                    dice.one(TARGETS), dice.one(TEXTS))
    if action in ("keep", "drop"):
        # what nearly always drops says little
        return rule(action, source, regex=dice.one(REGEXES) if action == "drop" else
                    dice.one(REGEXES) + "|.{3,}|.*")
    if action in ("keepequal", "dropequal"):
        return rule(action, source, target=dice.one(plain))
    if action == "hashmod":
        return rule(action, source, modulus=1 + dice.below(100), target=dice.one(plain))
    if action in ("lowercase", "uppercase"):
        return rule(action, source, target=dice.one(plain))
    if action == "labelmap":
        return rule(action, regex=dice.one(BY_NAME), replacement=dice.one(TO_NAMES))
    return rule(action, regex=dice.one(BY_NAME))


def generated(n):
    dice = Dice(20240607)
    for i in range(n):
        labels = {"__name__": dice.one(["up", "go_gc", "x:y"])}
        for _ in range(2 + dice.below(5)):
            labels[dice.one([name for name in NAMES if name != "__name__"])] = dice.one(VALUES)
        yield "generated %d" % i, [generated_rule(dice) for _ in range(1 + dice.below(4))], labels


def all_cases():
    out = [Case(*c, False) for c in chosen()]
    out += [Case(*c, True) for c in chosen3()]
    return out + [Case(*c, False) for c in generated(160)]
