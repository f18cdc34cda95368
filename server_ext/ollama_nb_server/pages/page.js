  // The parts that change by themselves are taken from a new page, where they have changed.
  const keepLooking = (part, here, xsrf) => {
    const headers = { Accept: "text/html", ...(xsrf && { "X-XSRFToken": xsrf }) };
    const away = document.getElementById("away");

    // Nobody loses what is being pressed or marked.
    const isHeld = (section) => {
      const marked = getSelection();
      const isMarked = !marked.isCollapsed && section.contains(marked.anchorNode);
      return isMarked || section.querySelector(":active") !== null;
    };

    const take = (page) => {
      const key = document.activeElement?.dataset.key;
      for (const section of page.querySelectorAll("[data-live]")) {
        const now = document.getElementById(section.id);
        if (now && !now.isEqualNode(section) && !isHeld(now)) now.replaceWith(section);
      }
      if (key !== undefined && document.activeElement?.dataset.key !== key)
        [...document.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key)?.focus({ preventScroll: true });
    };

    const look = async () => {
      const answer = await fetch(part, { headers }).catch(() => null);
      away.hidden = answer !== null && answer.status < 500;
      if (!away.hidden) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (page.querySelector("main")) take(page);
      else location.replace(here); // who looks is not signed in any more
    };

    const again = () => setTimeout(async () => {
      if (!document.hidden) await look();
      again();
    }, 2000);
    again();
  };
