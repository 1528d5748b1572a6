"""Tell people and programs: deliver events to webhooks, mail, chats, pagers and monitors."""
