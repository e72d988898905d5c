// How Java reads JSON texts (Jackson, as double and as BigDecimal) and URIs (java.net.URI). One child for the fuzz driver,
// see test/fuzz/driver.ts. Runs as a source file.
import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.io.NumberOutput;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.math.BigDecimal;
import java.math.MathContext;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

public final class Reader {
  private static final ObjectMapper DOUBLES =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
  private static final ObjectMapper DECIMALS =
      new ObjectMapper()
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);

  /** Java 17's own Double.toString is not always the shortest; Jackson's is, but for one digit (4.9E-324 for 5e-324). */
  private static BigDecimal shortest(double number) {
    BigDecimal exact = new BigDecimal(NumberOutput.toString(number, true)).stripTrailingZeros();
    BigDecimal shorter = exact.round(new MathContext(1));
    return shorter.doubleValue() == number ? shorter : exact;
  }

  private static void number(JsonNode node, StringBuilder out) {
    BigDecimal exact = node.isDouble() ? shortest(node.doubleValue()) : node.decimalValue();
    if (exact.signum() == 0) {
      out.append("#0e0;");
      return;
    }
    BigDecimal plain = exact.stripTrailingZeros();
    out.append('#').append(plain.unscaledValue()).append('e').append(-plain.scale()).append(';');
  }

  private static void text(String value, StringBuilder out) {
    out.append('"').append(value.replace("\\", "\\\\").replace("\"", "\\\"")).append('"');
  }

  private static void write(JsonNode node, StringBuilder out) {
    switch (node.getNodeType()) {
      case NULL -> out.append('z');
      case BOOLEAN -> out.append(node.booleanValue() ? 't' : 'f');
      case STRING -> text(node.textValue(), out);
      case NUMBER -> number(node, out);
      case ARRAY -> {
        out.append('[');
        node.forEach(item -> write(item, out));
        out.append(']');
      }
      default -> {
        List<String> names = new ArrayList<>();
        node.fieldNames().forEachRemaining(names::add);
        names.sort((a, b) -> Arrays.compareUnsigned(utf8(a), utf8(b)));
        out.append('{');
        for (String name : names) {
          text(name, out);
          write(node.get(name), out);
        }
        out.append('}');
      }
    }
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] json(ObjectMapper mapper, byte[] bytes) throws IOException {
    try {
      JsonNode node = mapper.readTree(bytes);
      StringBuilder out = new StringBuilder();
      write(node, out);
      return utf8(out.toString());
    } catch (JacksonException | NumberFormatException refused) {
      return null;
    }
  }

  private static String orEmpty(String part) {
    return part == null ? "" : part;
  }

  private static byte[] form(URI uri) {
    // To java.net.URI the query of a URI without a slash is no part of its own (RFC 2396 §3).
    String[] opaque = uri.isOpaque() ? uri.getRawSchemeSpecificPart().split("\\?", 2) : new String[0];
    String path = uri.isOpaque() ? opaque[0] : uri.getRawPath();
    String query = uri.isOpaque() ? (opaque.length > 1 ? opaque[1] : "") : uri.getRawQuery();
    String[] parts = {uri.getScheme(), uri.getRawAuthority(), path, query, uri.getRawFragment()};
    for (int i = 0; i < parts.length; i += 1) parts[i] = orEmpty(parts[i]);
    return utf8(String.join("\n", parts));
  }

  private static byte[][] uri(byte[] bytes) {
    try {
      URI uri = new URI(new String(bytes, StandardCharsets.UTF_8));
      return new byte[][] {form(uri), form(uri.normalize())};
    } catch (URISyntaxException refused) {
      return new byte[][] {null, null};
    }
  }

  private static void answer(byte[] form, OutputStream sink) throws IOException {
    int length = form == null ? -1 : form.length;
    for (int shift = 0; shift < 32; shift += 8) sink.write(length >> shift);
    if (form != null) sink.write(form);
  }

  public static void main(String[] args) throws IOException {
    DataInputStream source = new DataInputStream(new BufferedInputStream(System.in, 1 << 16));
    OutputStream sink = new BufferedOutputStream(System.out, 1 << 16);
    for (int kind = source.read(); kind >= 0; kind = source.read()) {
      byte[] bytes = new byte[Integer.reverseBytes(source.readInt())];
      source.readFully(bytes);
      byte[][] forms =
          (kind & 0x7f) == 1 ? new byte[][] {json(DOUBLES, bytes), json(DECIMALS, bytes)} : uri(bytes);
      for (byte[] form : forms) answer(form, sink);
      if ((kind & 0x80) != 0) sink.flush();
    }
  }
}
