package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * An interpreter for Python's pickle language that executes nothing. It builds lists, tuples, sets,
 * dicts, scalars and descriptions of tensors; the only callables it knows are those of {@link
 * TorchGlobals}. An object of any other class, as trainers leave beside the tensors (dates, numpy's
 * scalars, configs), becomes {@link Inert}: its class is not looked for and its content is thrown
 * away. Nothing recurses, and the number of executed opcodes is bounded, so that neither stack nor
 * heap can be exhausted.
 */
final class PickleMachine {
  /** Enough for some 60,000 tensors; each opcode makes at most one small object. */
  private static final int MAX_STEPS = 2_000_000;

  private static final int MAX_LONG_BYTES = 64;
  private static final int MAX_KEY_DEPTH = 8;

  /** A Python tuple; compared by identity, so that no comparison of hostile values can recurse. */
  record Tuple(Object[] items) {}

  /** A Python dict; keys are scalars, tuples stand as their text. */
  static final class Dict {
    final Map<Object, Object> entries = new LinkedHashMap<>();
  }

  /** A Python set, in the order of the stream. */
  record PySet(List<Object> items) {}

  /** A class or function by its name, of which nothing else is known. */
  record Named(String name) {}

  /** An object of a class of which nothing is known; takes any state and keeps none. */
  static final class Inert {
    final String className;

    Inert(String className) {
      this.className = className;
    }

    @Override
    public String toString() {
      return className;
    }
  }

  private final PickleInput in;
  private final TorchGlobals globals;
  private final List<Object> stack = new ArrayList<>();
  private final List<Integer> marks = new ArrayList<>();
  private final Map<Long, Object> memo = new HashMap<>();
  private int steps;

  PickleMachine(PickleInput in) {
    this.in = in;
    this.globals = new TorchGlobals(in);
  }

  /**
   * Runs to STOP and returns the value: null, Boolean, Long, BigInteger, Double, String, byte[],
   * List, Tuple, PySet, Dict, Named, Inert, or what {@link TorchGlobals} makes.
   */
  Object run() {
    while (true) {
      step(1);
      int opcode = in.u8();
      if (opcode == '.') {
        if (stack.size() != 1 || !marks.isEmpty()) {
          throw in.refusal(
              "STOP with " + stack.size() + " values and " + marks.size() + " marks on the stack");
        }
        return stack.get(0);
      }
      if (!pushScalar(opcode) && !pushText(opcode) && !collect(opcode)) {
        control(opcode);
      }
    }
  }

  /** Every storage that the pickle has referred to, by key. */
  Map<String, TorchGlobals.StorageRef> storages() {
    return globals.storages();
  }

  private boolean pushScalar(int opcode) {
    switch (opcode) {
      case 'N' -> push(null);
      case 0x88 -> push(true);
      case 0x89 -> push(false);
      case 'K' -> push((long) in.u8());
      case 'M' -> push((long) in.u16());
      case 'J' -> push((long) in.i32());
      case 'G' -> push(in.bigEndianDouble());
      case 0x8a -> push(integer(in.u8()));
      case 0x8b -> push(integer(in.u32()));
      case 'I' -> push(decimal(in.line()));
      case 'L' -> push(decimal(in.line().replaceFirst("L$", "")));
      case 'F' -> push(floating(in.line()));
      default -> {
        return false;
      }
    }
    return true;
  }

  private boolean pushText(int opcode) {
    switch (opcode) {
      case 'X', 'T' -> push(in.text(in.u32()));
      case 0x8c, 'U' -> push(in.text(in.u8()));
      case 0x8d -> push(in.text(in.i64()));
      case 'V' -> push(in.line());
      case 'B' -> push(in.bytes(in.u32()));
      case 'C' -> push(in.bytes(in.u8()));
      case 0x8e, 0x96 -> push(in.bytes(in.i64()));
      default -> {
        return false;
      }
    }
    return true;
  }

  private boolean collect(int opcode) {
    switch (opcode) {
      case ']' -> push(new ArrayList<>());
      case 'l' -> push(new ArrayList<>(Arrays.asList(popToMark())));
      case 'a' -> append(pop(1));
      case 'e', 0x90 -> append(popToMark());
      case 0x8f -> push(new PySet(new ArrayList<>()));
      case 0x91 -> push(new PySet(Arrays.asList(popToMark())));
      case ')' -> push(new Tuple(new Object[0]));
      case 't' -> push(new Tuple(popToMark()));
      case 0x85 -> push(new Tuple(pop(1)));
      case 0x86 -> push(new Tuple(pop(2)));
      case 0x87 -> push(new Tuple(pop(3)));
      case '}' -> push(new Dict());
      case 'd' -> {
        Object[] items = popToMark();
        Dict dict = new Dict();
        putAll(dict, items);
        push(dict);
      }
      case 's' -> setItems(pop(2));
      case 'u' -> setItems(popToMark());
      default -> {
        return false;
      }
    }
    return true;
  }

  private void control(int opcode) {
    switch (opcode) {
      case 0x80 -> {
        int protocol = in.u8();
        if (protocol > 5) {
          throw in.refusal("pickle protocol " + protocol + "; 0 to 5 are known");
        }
      }
      case 0x95 -> in.i64(); // FRAME: a hint for buffering
      case '(' -> marks.add(stack.size());
      case '0' -> discardTop();
      case '1' -> popToMark();
      case '2' -> push(peek());
      case 'p' -> remember(index(in.line()));
      case 'q' -> remember(in.u8());
      case 'r' -> remember(in.u32());
      case 0x94 -> remember(memo.size());
      case 'g' -> recall(index(in.line()));
      case 'h' -> recall(in.u8());
      case 'j' -> recall(in.u32());
      case 'c' -> push(globals.resolve(in.line(), in.line()));
      case 0x93 -> stackGlobal();
      case 'R' -> reduce("REDUCE", 2);
      case 0x81 -> reduce("NEWOBJ", 2);
      case 0x92 -> reduce("NEWOBJ_EX", 3);
      case 'i' -> {
        Object function = globals.resolve(in.line(), in.line());
        call("INST", function, popToMark());
      }
      case 'o' -> {
        Object[] items = popToMark();
        if (items.length == 0) {
          throw in.refusal("OBJ without a class");
        }
        call("OBJ", items[0], Arrays.copyOfRange(items, 1, items.length));
      }
      case 'b' -> build();
      case 'Q' -> push(globals.storage(pop()));
      default -> throw unknown(opcode);
    }
  }

  private void stackGlobal() {
    Object[] names = pop(2);
    if (!(names[0] instanceof String module) || !(names[1] instanceof String name)) {
      throw in.refusal("STACK_GLOBAL without two names");
    }
    push(globals.resolve(module, name));
  }

  /** Takes a callable and its arguments from the stack; keywords, if it has them, say nothing. */
  private void reduce(String opcode, int operands) {
    if (stack.size() < operands) {
      throw in.refusal(
          opcode + " needs " + operands + " operands, the stack holds " + stack.size());
    }
    Object[] call = pop(operands);
    if (!(call[1] instanceof Tuple arguments)) {
      throw in.refusal(opcode + " with arguments that are no tuple");
    }
    call(opcode, call[0], arguments.items());
  }

  private void call(String opcode, Object function, Object[] arguments) {
    if (function instanceof Named unknown) {
      push(new Inert(unknown.name()));
      return;
    } else if (!(function instanceof TorchGlobals.Callable)) {
      throw in.refusal(opcode + " calls something that is no function");
    }
    Object result = globals.call((TorchGlobals.Callable) function, arguments, this);
    if (result instanceof Dict dict) {
      step(dict.entries.size()); // the results of these calls grow with their arguments
    } else if (result instanceof PySet set) {
      step(set.items().size());
    }
    push(result);
  }

  /** State says nothing about tensors: that of an OrderedDict ({@code _metadata}), or of others. */
  private void build() {
    pop();
    if (!(peek() instanceof Dict) && !(peek() instanceof Inert)) {
      throw in.refusal("BUILD sets the state of an object that has none");
    }
  }

  private LongAlignException unknown(int opcode) {
    String name =
        switch (opcode) {
          case 0x82, 0x83, 0x84 -> "EXT";
          case 'P' -> "PERSID";
          case 'S' -> "STRING";
          case 0x97, 0x98 -> "an out-of-band buffer";
          default -> null;
        };
    return in.refusal(
        name == null
            ? String.format(Locale.ROOT, "byte 0x%02x is no pickle opcode", opcode)
            : name + " is not among the opcodes that weights need; nothing was executed");
  }

  private void step(int n) {
    steps += n;
    if (steps > MAX_STEPS) {
      throw in.refusal("more than " + MAX_STEPS + " steps; no state dict needs that many");
    }
  }

  private void push(Object value) {
    stack.add(value);
  }

  private Object pop() {
    return pop(1)[0];
  }

  private Object[] pop(int n) {
    int floor = marks.isEmpty() ? 0 : marks.get(marks.size() - 1);
    int from = stack.size() - n;
    if (from < floor) {
      throw in.refusal(
          "an opcode needs " + n + " operands, the stack holds " + (stack.size() - floor));
    }
    return truncate(from);
  }

  private Object[] popToMark() {
    if (marks.isEmpty()) {
      throw in.refusal("an opcode needs a mark, the stack has none");
    }
    return truncate(marks.remove(marks.size() - 1));
  }

  private Object[] truncate(int from) {
    List<Object> top = stack.subList(from, stack.size());
    Object[] items = top.toArray();
    top.clear();
    return items;
  }

  /** POP takes a mark away if that is on top. */
  private void discardTop() {
    if (!marks.isEmpty() && marks.get(marks.size() - 1) == stack.size()) {
      marks.remove(marks.size() - 1);
    } else {
      pop();
    }
  }

  private Object peek() {
    int floor = marks.isEmpty() ? 0 : marks.get(marks.size() - 1);
    if (stack.size() <= floor) {
      throw in.refusal("an opcode needs an operand, the stack holds none");
    }
    return stack.get(stack.size() - 1);
  }

  private void remember(long index) {
    memo.put(index, peek());
  }

  private void recall(long index) {
    if (!memo.containsKey(index)) {
      throw in.refusal("memo entry " + index + " was never written");
    }
    push(memo.get(index));
  }

  @SuppressWarnings("unchecked")
  private void append(Object[] items) {
    Object to = peek();
    if (to instanceof ArrayList) {
      ((List<Object>) to).addAll(Arrays.asList(items));
    } else if (to instanceof PySet set && set.items() instanceof ArrayList) {
      set.items().addAll(Arrays.asList(items));
    } else if (!(to instanceof Inert)) {
      throw in.refusal("items are appended to something that is no list");
    }
  }

  private void setItems(Object[] items) {
    Object to = peek();
    if (to instanceof Dict dict) {
      putAll(dict, items);
    } else if (!(to instanceof Inert)) {
      throw in.refusal("items are set in something that is no dict");
    }
  }

  private void putAll(Dict dict, Object[] items) {
    if (items.length % 2 != 0) {
      throw in.refusal("a dict key without a value");
    }
    for (int i = 0; i < items.length; i += 2) {
      put(dict, items[i], items[i + 1]);
    }
  }

  void put(Dict dict, Object key, Object value) {
    dict.entries.put(key instanceof Tuple ? keyText(key, 0) : checkedKey(key), value);
  }

  private Object checkedKey(Object key) {
    if (key instanceof List
        || key instanceof Dict
        || key instanceof PySet
        || key instanceof TorchGlobals.TensorRef) {
      throw in.refusal("a dict key that is neither text nor number but a list, dict or tensor");
    }
    return key;
  }

  private String keyText(Object key, int depth) {
    step(1);
    if (depth > MAX_KEY_DEPTH) {
      throw in.refusal("a dict key of more than " + MAX_KEY_DEPTH + " levels of tuples");
    } else if (key instanceof Tuple tuple) {
      StringBuilder text = new StringBuilder("(");
      for (Object item : tuple.items()) {
        text.append(text.length() == 1 ? "" : ", ").append(keyText(item, depth + 1));
        step(text.length() / 4096); // a long text costs what it takes to build it
      }
      return text.append(')').toString();
    }
    String text = String.valueOf(checkedKey(key));
    step(text.length() / 256);
    return text;
  }

  private Object integer(long length) {
    if (length > MAX_LONG_BYTES) {
      throw in.refusal("an integer of " + length + " bytes");
    }
    byte[] little = in.bytes(length);
    byte[] big = new byte[little.length + 1];
    for (int i = 0; i < little.length; i++) {
      big[big.length - 1 - i] = little[i];
    }
    big[0] = little.length > 0 && little[little.length - 1] < 0 ? (byte) -1 : 0;
    return narrow(new BigInteger(big));
  }

  private Object decimal(String text) {
    if (text.equals("00") || text.equals("01")) {
      return text.equals("01"); // protocol 0 writes booleans so
    }
    if (!text.matches("[+-]?[0-9]{1,150}")) {
      throw in.refusal("'" + Names.printable(text) + "' is no integer");
    }
    return narrow(new BigInteger(text));
  }

  private Object narrow(BigInteger value) {
    return value.bitLength() < 64 ? (Object) value.longValue() : value;
  }

  private long index(String text) {
    if (!text.matches("[0-9]{1,10}")) {
      throw in.refusal("'" + Names.printable(text) + "' is no memo index");
    }
    return Long.parseLong(text);
  }

  private double floating(String text) {
    try {
      return Double.parseDouble(text);
    } catch (NumberFormatException invalid) {
      throw in.refusal("'" + Names.printable(text) + "' is no number");
    }
  }
}
