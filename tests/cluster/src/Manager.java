import org.apache.hadoop.metrics2.lib.DefaultMetricsSystem;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.server.resourcemanager.ResourceManager;
import org.apache.hadoop.yarn.server.resourcemanager.security.DelegationTokenRenewer;

/**
 * The ResourceManager without the thread that repeats the renewals of tokens which take too long.
 * With Kerberos that thread never sleeps, and keeps a core busy even when there is no token (YARN-11178).
 */
public class Manager extends ResourceManager {
  public static void main(String[] args) {
    try {
      DefaultMetricsSystem.initialize("ResourceManager");
      Manager manager = new Manager();
      manager.init(new YarnConfiguration());
      manager.start();
    } catch (Throwable t) {
      t.printStackTrace();
      Runtime.getRuntime().halt(1); // daemon threads would keep a half-started JVM alive
    }
  }

  @Override
  protected DelegationTokenRenewer createDelegationTokenRenewer() {
    DelegationTokenRenewer renewer = super.createDelegationTokenRenewer();
    renewer.setDelegationTokenRenewerPoolTracker(false);
    return renewer;
  }
}
