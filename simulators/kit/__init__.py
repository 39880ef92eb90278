"""What every simulated vendor needs: a fault menu, a journal, a gateway, a control plane and a server that can cut."""
