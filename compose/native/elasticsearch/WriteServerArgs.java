import java.nio.file.Path;
import org.elasticsearch.bootstrap.ServerArgs;
import org.elasticsearch.common.io.stream.OutputStreamStreamOutput;
import org.elasticsearch.common.settings.KeyStoreWrapper;
import org.elasticsearch.common.settings.Settings;

/** What Elasticsearch's own launcher would hand to the server on its standard input. Arguments: home, data, key=value … */
public class WriteServerArgs {
  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]);
    Path data = Path.of(arguments[1]);
    Settings.Builder builder =
        Settings.builder()
            .put("path.home", home.toString())
            .put("path.data", data.resolve("data").toString())
            .put("path.logs", data.resolve("logs").toString());
    // The launcher reads elasticsearch.yml; the server itself does not.
    for (int i = 2; i < arguments.length; i++) {
      String[] pair = arguments[i].split("=", 2);
      builder.put(pair[0], pair[1]);
    }
    Settings settings = builder.build();
    ServerArgs args =
        new ServerArgs(
            false, false, null, KeyStoreWrapper.create(), settings, data.resolve("config"), data.resolve("logs"));
    OutputStreamStreamOutput out = new OutputStreamStreamOutput(System.out);
    args.writeTo(out);
    out.flush();
  }
}
