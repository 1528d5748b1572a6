import java.io.File;
import java.lang.reflect.Field;
import org.apache.directory.api.ldap.model.exception.LdapException;
import org.apache.directory.server.core.api.DirectoryService;
import org.apache.directory.server.core.api.interceptor.BaseInterceptor;
import org.apache.directory.server.core.api.interceptor.context.BindOperationContext;
import org.apache.directory.server.protocol.shared.transport.TcpTransport;
import org.apache.knox.gateway.security.ldap.SimpleLdapDirectoryServer;

/** Knox's demo LDAP as a process of its own; prints each bind. Arguments: file with the users, port. */
public class Ldap {
  public static void main(String[] args) {
    try {
      SimpleLdapDirectoryServer ldap = new SimpleLdapDirectoryServer(
          "dc=hadoop,dc=apache,dc=org", new File(args[0]), new TcpTransport("127.0.0.1", Integer.parseInt(args[1])));
      service(ldap).addFirst(new Binds());
      ldap.start();
      System.out.println("LDAP READY");
      System.out.flush();
      Thread.currentThread().join();
    } catch (Throwable t) {
      t.printStackTrace();
      Runtime.getRuntime().halt(1); // its threads would keep a half-started JVM alive
    }
  }

  static DirectoryService service(SimpleLdapDirectoryServer ldap) throws Exception {
    Field field = SimpleLdapDirectoryServer.class.getDeclaredField("service");
    field.setAccessible(true);
    return (DirectoryService) field.get(ldap);
  }

  /** Prints who binds, before it is known whether the password is right. */
  static class Binds extends BaseInterceptor {
    Binds() {
      super("binds");
    }

    @Override
    public void bind(BindOperationContext context) throws LdapException {
      System.out.println("BIND " + context.getDn());
      System.out.flush();
      next(context);
    }
  }
}
