#!/usr/bin/env python3
"""Decides a query of halmos (SMT-LIB, bit vectors) as one of integers: bit-blasting cannot multiply and divide 256-bit words, integer solvers can.

    integers.py QUERY.smt2

The translation is exact. A word of n bits becomes an integer in [0, 2^n); an operation that may leave that range is followed by its reduction,
one that cannot (by interval arithmetic) is not; x / y and x % y are q and r with x = q y + r, r < y (0 for y = 0, as in the EVM). What has no
integer counterpart (hashes, storage that was never written, operations on bits that overlap) becomes an unknown of its width: that only adds
behaviours, so that `unsat` holds all the more, and a model is believed only if the query itself holds in it.

Answers as a solver does, on the first line; `sat` is followed by the model. z3 and cvc5 race. halmos' names of abstract operations (f_evm_*) mean
the operations themselves.
"""

import re
import signal
import sys
from multiprocessing import Process, Queue

import z3

sys.setrecursionlimit(1_000_000)
SECONDS = 600


class Word:
    """An integer term, its bounds, and the bits that may be set."""

    __slots__ = ("term", "low", "high", "bits")

    def __init__(self, term, low, high, bits=None):
        self.term, self.low, self.high = term, low, high
        reach = (1 << high.bit_length()) - 1
        self.bits = reach if bits is None else bits & reach


class Translation:
    def __init__(self, assertions):
        self.facts, self.words, self.truths, self.divisions, self.unknowns = [], {}, {}, {}, {}
        self.bounds = {}
        for a in assertions:
            self.bound(a)
        self.assertions = [self.truth(a) for a in assertions]

    # -- Bounds of unknowns that assertions state outright

    def bound(self, a):
        if z3.is_and(a):
            for child in a.children():
                self.bound(child)
            return
        negated = z3.is_not(a)
        if negated:
            a = a.arg(0)
        kind, limit = a.decl().kind(), None
        if kind == z3.Z3_OP_ULEQ and not negated and z3.is_bv_value(a.arg(1)):
            limit = (a.arg(0), a.arg(1).as_long())
        if kind == z3.Z3_OP_ULEQ and negated and z3.is_bv_value(a.arg(0)):
            # not (c <= x): x < c
            limit = (a.arg(1), max(a.arg(0).as_long() - 1, 0))
        if kind == z3.Z3_OP_EQ and not negated:
            for x, y in (a.children(), a.children()[::-1]):
                if z3.is_bv_value(y) and y.as_long() == 0 and x.decl().kind() == z3.Z3_OP_EXTRACT:
                    high, low = x.params()
                    if high == x.arg(0).size() - 1:
                        limit = (x.arg(0), (1 << low) - 1)
                if z3.is_bv_value(y) and z3.is_const(x):
                    limit = (x, y.as_long())
        if limit is not None:
            key = limit[0].get_id()
            self.bounds[key] = min(self.bounds.get(key, limit[1]), limit[1])

    # -- Words

    def fresh(self, e, size, name=None):
        top = min((1 << size) - 1, self.bounds.get(e.get_id(), (1 << size) - 1))
        term = z3.Int(name or f"unknown_{e.get_id()}")
        self.facts += [term >= 0, term <= top]
        self.unknowns[e.get_id()] = (e, term)
        return Word(term, 0, top)

    def word(self, e):
        key = e.get_id()
        if key not in self.words:
            self.words[key] = self.tighten(e, self.make(e))
        return self.words[key]

    def tighten(self, e, w):
        """A stated bound of a compound term holds as well."""
        top = self.bounds.get(e.get_id())
        if top is not None and top < w.high:
            self.facts.append(w.term <= top)
            return Word(w.term, min(w.low, top), top, w.bits)
        return w

    def wrap(self, term, low, high, size):
        """`term`, somewhere in [low, high], reduced to `size` bits."""
        top = 1 << size
        if low >= 0 and high < top:
            return Word(term, low, high)
        q, r = z3.FreshInt("q"), z3.FreshInt("w")
        self.facts += [term == q * top + r, r >= 0, r < top, q >= low // top, q <= high // top]
        return Word(r, 0, top - 1)

    def divide(self, a, b, ka, kb):
        if (ka, kb) not in self.divisions:
            q, r = z3.FreshInt("q"), z3.FreshInt("r")
            bottom = max(b.low, 1)
            self.facts += [q >= 0, r >= 0, q <= a.high // bottom, r <= max(b.high - 1, 0), r <= a.high]
            exact = z3.And(a.term == q * b.term + r, r < b.term)
            self.facts.append(exact if b.low > 0 else z3.If(b.term == 0, z3.And(q == 0, r == 0), exact))
            low = a.low // b.high if b.high > 0 and b.low > 0 else 0
            self.divisions[ka, kb] = (Word(q, low, a.high // bottom), Word(r, 0, min(max(b.high - 1, 0), a.high)))
        return self.divisions[ka, kb]

    def shift_down(self, w, by, key):
        if by == 0:
            return w
        if w.high < 1 << by:
            return Word(z3.IntVal(0), 0, 0)
        q, _ = self.divide(w, Word(z3.IntVal(1 << by), 1 << by, 1 << by), key, ("shift", by))
        return Word(q.term, w.low >> by, w.high >> by, w.bits >> by)

    def cut(self, w, size, key):
        """The low `size` bits."""
        if w.bits < 1 << size:
            return w
        if w.bits & ((1 << size) - 1) == 0:
            return Word(z3.IntVal(0), 0, 0)
        _, r = self.divide(w, Word(z3.IntVal(1 << size), 1 << size, 1 << size), key, ("shift", size))
        return Word(r.term, 0, (1 << size) - 1, w.bits)

    def either(self, a, b, e, size):
        if a.bits & b.bits == 0:
            return Word(a.term + b.term, a.low + b.low, a.high + b.high, a.bits | b.bits)
        return self.fresh(e, size)

    def mask(self, w, mask, key):
        """The bits of a constant mask: a sum of runs of ones."""
        mask &= w.bits
        if mask == w.bits:
            return w
        total, low, at = Word(z3.IntVal(0), 0, 0), None, 0
        while mask >> at:
            while not mask >> at & 1:
                at += 1
            low = at
            while mask >> at & 1:
                at += 1
            part = self.cut(self.shift_down(w, low, key), at - low, (key, low))
            total = Word(total.term + part.term * (1 << low), 0, total.high + (part.high << low), total.bits | part.bits << low)
        return total

    def make(self, e):
        size, kind, args = e.size(), e.decl().kind(), e.children()
        top = (1 << size) - 1
        if z3.is_bv_value(e):
            v = e.as_long()
            return Word(z3.IntVal(v), v, v)
        name = e.decl().name()
        if kind == z3.Z3_OP_UNINTERPRETED and name.startswith("f_evm_"):
            kind = {"bvmul": z3.Z3_OP_BMUL, "bvudiv": z3.Z3_OP_BUDIV, "bvurem": z3.Z3_OP_BUREM}.get(name.split("_")[2], kind)
        if kind == z3.Z3_OP_BADD:
            ws = [self.word(a) for a in args]
            if all(ws[i].bits & ws[k].bits == 0 for i in range(len(ws)) for k in range(i)):
                return Word(z3.Sum([w.term for w in ws]), sum(w.low for w in ws), sum(w.high for w in ws))
            # A summand near 2^n is a subtraction.
            term, low, high = z3.IntVal(0), 0, 0
            for w in ws:
                shift = 1 << size if w.low > top // 2 else 0
                term, low, high = term + w.term - shift, low + w.low - shift, high + w.high - shift
            return self.wrap(term, low, high, size)
        if kind == z3.Z3_OP_BSUB:
            a, b = map(self.word, args)
            return self.wrap(a.term - b.term, a.low - b.high, a.high - b.low, size)
        if kind == z3.Z3_OP_BNEG:
            a = self.word(args[0])
            return self.wrap(-a.term, -a.high, -a.low, size)
        if kind == z3.Z3_OP_BMUL:
            w = self.word(args[0])
            if z3.is_bv_value(args[0]) and args[0].as_long() > top // 2 and len(args) == 2:
                b, c = self.word(args[1]), (1 << size) - args[0].as_long()
                return self.wrap(-c * b.term, -c * b.high, -c * b.low, size)
            for other in args[1:]:
                b = self.word(other)
                w = self.wrap(w.term * b.term, w.low * b.low, w.high * b.high, size)
            return w
        if kind in (z3.Z3_OP_BUDIV, z3.Z3_OP_BUDIV_I, z3.Z3_OP_BUREM, z3.Z3_OP_BUREM_I):
            a, b = map(self.word, args)
            if name.startswith("f_evm_") is False and b.low == 0:
                raise NotImplementedError("division by zero of the solver's own kind")
            if a.high < b.low:
                return Word(z3.IntVal(0), 0, 0) if kind in (z3.Z3_OP_BUDIV, z3.Z3_OP_BUDIV_I) else a
            q, r = self.divide(a, b, args[0].get_id(), args[1].get_id())
            return q if kind in (z3.Z3_OP_BUDIV, z3.Z3_OP_BUDIV_I) else r
        if kind == z3.Z3_OP_CONCAT:
            total = Word(z3.IntVal(0), 0, 0)
            for a in args:
                w, n = self.word(a), a.size()
                total = Word(total.term * (1 << n) + w.term, (total.low << n) + w.low, (total.high << n) + w.high, total.bits << n | w.bits)
            return total
        if kind == z3.Z3_OP_EXTRACT:
            high, low = e.params()
            w, key = self.word(args[0]), args[0].get_id()
            return self.cut(self.shift_down(w, low, key), high - low + 1, (key, low) if low else key)
        if kind == z3.Z3_OP_ZERO_EXT:
            return self.word(args[0])
        if kind == z3.Z3_OP_ITE:
            a, b = self.word(args[1]), self.word(args[2])
            return Word(z3.If(self.truth(args[0]), a.term, b.term), min(a.low, b.low), max(a.high, b.high), a.bits | b.bits)
        if kind == z3.Z3_OP_BNOT:
            a = self.word(args[0])
            return Word(top - a.term, top - a.high, top - a.low)
        if kind in (z3.Z3_OP_BAND, z3.Z3_OP_BOR, z3.Z3_OP_BXOR):
            if kind == z3.Z3_OP_BAND:
                for x, y in ((args[0], args[1]), (args[1], args[0])):
                    if len(args) == 2 and z3.is_bv_value(x):
                        return self.mask(self.word(y), x.as_long(), y.get_id())
                return self.fresh(e, size)
            w = self.word(args[0])
            for other in args[1:]:
                w = self.either(w, self.word(other), e, size)
            return w
        if kind in (z3.Z3_OP_BSHL, z3.Z3_OP_BLSHR) and z3.is_bv_value(args[1]):
            w, by = self.word(args[0]), args[1].as_long()
            if by >= size:
                return Word(z3.IntVal(0), 0, 0)
            if kind == z3.Z3_OP_BLSHR:
                return self.shift_down(w, by, args[0].get_id())
            w = self.cut(w, size - by, args[0].get_id())
            return Word(w.term * (1 << by), w.low << by, w.high << by, w.bits << by)
        return self.fresh(e, size, name if z3.is_const(e) else None)

    # -- Conditions

    def truth(self, e):
        key = e.get_id()
        if key not in self.truths:
            self.truths[key] = self.decide(e)
        return self.truths[key]

    def decide(self, e):
        kind, args = e.decl().kind(), e.children()
        if z3.is_true(e) or z3.is_false(e):
            return e
        if kind in (z3.Z3_OP_AND, z3.Z3_OP_OR, z3.Z3_OP_NOT, z3.Z3_OP_IMPLIES, z3.Z3_OP_XOR):
            return e.decl()(*[self.truth(a) for a in args])
        if kind == z3.Z3_OP_ITE:
            return z3.If(*[self.truth(a) for a in args])
        if kind in (z3.Z3_OP_EQ, z3.Z3_OP_DISTINCT) and z3.is_bv(args[0]):
            terms = [self.word(a) for a in args]
            if len(terms) == 2 and (terms[0].high < terms[1].low or terms[1].high < terms[0].low):
                return z3.BoolVal(kind != z3.Z3_OP_EQ)
            if kind == z3.Z3_OP_EQ:
                return terms[0].term == terms[1].term
            return z3.Distinct(*[t.term for t in terms])
        if kind == z3.Z3_OP_EQ and z3.is_bool(args[0]):
            return self.truth(args[0]) == self.truth(args[1])
        if kind in (z3.Z3_OP_ULEQ, z3.Z3_OP_ULT, z3.Z3_OP_UGEQ, z3.Z3_OP_UGT):
            a, b = map(self.word, args)
            if kind in (z3.Z3_OP_UGEQ, z3.Z3_OP_UGT):
                a, b = b, a
            strict = kind in (z3.Z3_OP_ULT, z3.Z3_OP_UGT)
            if a.high < b.low or (not strict and a.high <= b.low):
                return z3.BoolVal(True)
            if a.low > b.high or (strict and a.low >= b.high):
                return z3.BoolVal(False)
            return a.term < b.term if strict else a.term <= b.term
        term = z3.Bool(f"condition_{e.get_id()}")
        self.unknowns[e.get_id()] = (e, term)
        return term


def prepare(path):
    """The query's assertions, with storage that was written read back."""
    text = open(path).read()
    solver = z3.Solver()
    solver.from_string(re.sub(r"\(check-sat.*|\(get-.*|\(set-option.*", "", text))
    goal = z3.Goal()
    goal.add(*solver.assertions())
    tactics = ["simplify", "propagate-values", "solve-eqs", "simplify"]
    return list(solver.assertions()), list(z3.Then(*tactics)(goal)[0])


def with_z3(text, answers, *options):
    for option in options:
        z3.set_param(*option)
    solver = z3.Solver()
    solver.from_string(text)
    result = solver.check()
    values = {}
    if result == z3.sat:
        model = solver.model()
        values = {d.name(): str(model[d]) for d in model.decls()}
    answers.put((str(result), values))


def with_cvc5(text, answers, *options):
    import cvc5

    solver = cvc5.Solver()
    for option in options:
        solver.setOption(*option)
    solver.setLogic("QF_NIA")
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "query")
    while not (command := parser.nextCommand()).isNull():
        command.invoke(solver, parser.getSymbolManager())
    result = solver.checkSat()
    values = {}
    if result.isSat():
        values = {str(t): str(solver.getValue(t)) for t in parser.getSymbolManager().getDeclaredTerms()}
    answers.put((str(result), values))


def race(text):
    """The first answer that is one."""
    answers = Queue()
    ways = [
        Process(target=with_z3, args=(text, answers)),
        Process(target=with_cvc5, args=(text, answers, ("produce-models", "true"), ("nl-ext-tplanes", "true"))),
    ]
    for way in ways:
        way.start()
    try:
        for _ in ways:
            answer = answers.get(timeout=SECONDS)
            if answer[0] in ("sat", "unsat"):
                return answer
        return "unknown", {}
    except Exception:
        return "unknown", {}
    finally:
        for way in ways:
            way.kill()


def main():
    original, assertions = prepare(sys.argv[1])
    if any(z3.is_false(a) for a in assertions):
        print("unsat")
        return
    translation = Translation(assertions)
    solver = z3.Solver()
    solver.add(*translation.facts, *translation.assertions)
    text = solver.to_smt2().replace("(check-sat)", "")
    if len(sys.argv) > 2:
        open(sys.argv[2], "w").write(text)
    result, values = race(text)
    if result != "sat":
        print(result)
        return
    # Is it a model of the query? Unknowns of the query itself (the rest follows) take their values, operations their meaning.
    known = {}
    for e, term in translation.unknowns.values():
        if z3.is_bv(e) and z3.is_const(e) and str(term) in values:
            known[str(e)] = (e, int(values[str(term)]))
    check = z3.Solver()
    check.set("timeout", 60_000)
    check.add(*meaning(original))
    check.add(*[e == v for e, v in known.values()])
    if check.check() != z3.sat:
        print("unknown")
        return
    print("sat")
    for name, (e, value) in known.items():
        print(f"(define-fun {name} () (_ BitVec {e.size()}) (_ bv{value} {e.size()}))")


def meaning(assertions):
    """halmos' abstract operations as the operations themselves."""
    found = {}

    def walk(e):
        if e.get_id() in seen:
            return
        seen.add(e.get_id())
        if e.decl().kind() == z3.Z3_OP_UNINTERPRETED and e.decl().name().startswith("f_evm_"):
            found[e.decl().name()] = e.decl()
        for child in e.children():
            walk(child)

    seen = set()
    for a in assertions:
        walk(a)
    pairs = []
    for name, decl in found.items():
        x, y = z3.Var(0, decl.domain(0)), z3.Var(1, decl.domain(1))
        zero = z3.BitVecVal(0, decl.domain(0).size())
        body = {"bvmul": lambda: x * y, "bvudiv": lambda: z3.If(y == zero, zero, z3.UDiv(x, y)), "bvurem": lambda: z3.If(y == zero, zero, z3.URem(x, y))}
        operation = body.get(name.split("_")[2])
        if operation:
            pairs.append((decl, operation()))
    return [z3.substitute_funs(a, *pairs) for a in assertions]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
